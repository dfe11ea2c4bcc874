"""Evaluation of a finished run under a further protocol of a comparison, without training again."""

import logging
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict

from recbole_sda.comparison.planned_run import PlannedRun, slug
from recbole_sda.config.run_config import MACHINE_KEYS
from recbole_sda.engine.experiment import EVALUATION, evaluate_weights
from recbole_sda.engine.result import write_rankings
from recbole_sda.engine.run import load
from recbole_sda.engine.run_folder import CONFIG, METRICS, read_metrics, write_config, write_metrics
from recbole_sda.engine.summary import result_table
from recbole_sda.errors import InputError
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.io.logs import log_to

logger = logging.getLogger(__name__)

PROTOCOLS = "protocols"  # folder of the further protocols in a run folder
# Keys of a further protocol: those that --load accepts, without the place of the data and the machine.
PROTOCOL_KEYS = EVALUATION - MACHINE_KEYS - {"data_path"}
TRAINED = "run_metrics_sha256"  # in the result: hash of the metrics.json of the run that was evaluated


@dataclass(frozen=True)
class PlannedEvaluation:
    """The evaluation of a planned run's best epoch under a further protocol.

    Attributes:
        run: the run.
        protocol: name of the protocol.
        keys: the protocol's keys, of :data:`PROTOCOL_KEYS`; they replace those of the run.
    """

    run: PlannedRun
    protocol: str
    keys: Dict[str, Any]

    def __str__(self) -> str:
        return f"{self.protocol} of {self.run}"

    @property
    def folder(self) -> Path:
        """The folder of the result, in the run folder: configuration, metrics and ranks."""
        return self.run.folder / PROTOCOLS / slug(self.protocol)

    @property
    def log(self) -> Path:
        """The file of the run's log messages, to which those of the evaluation are added."""
        return self.run.log

    @property
    def is_done(self) -> bool:
        """Whether the run is finished and its present state has been evaluated: a run that was trained further has not."""
        if not self.run.is_done or not self._result.is_done:
            return False
        return read_metrics(self.folder, evaluation=True).get(TRAINED) == sha256_of(self.run.folder / METRICS)

    @property
    def _result(self) -> PlannedRun:
        """The evaluation as a run with the protocol's keys, whose checks it shares."""
        keys = {**self.run.keys, **self.keys}
        if "eval_args" in self.keys:
            keys["eval_args"] = {**(self.run.keys.get("eval_args") or {}), **(self.keys["eval_args"] or {})}
        return replace(self.run, folder=self.folder, keys=keys)

    def needs(self, other: Any) -> bool:
        """Return whether ``other`` is the run that is evaluated."""
        return other == self.run

    def check(self) -> None:
        """Check the configuration, and that an existing result has the planned settings and the present data.

        A result of an earlier state of the run is not checked, because the evaluation is repeated.

        Raises:
            InputError: the configuration is wrong, or the result has other settings or data.
        """
        try:
            self._result.configuration()
        except InputError as error:
            raise InputError(f"also: {self.protocol}: {error}") from error
        if self.is_done:
            self._result.check()

    def evaluate(self) -> None:
        """Evaluate the best epoch of the finished run as ``--load`` does, and write the result; a present result is kept.

        The folder of the result appears atomically.

        Raises:
            InputError: another process is at this evaluation, or the run or its data are no longer those of the plan.
        """
        self.folder.parent.mkdir(exist_ok=True)
        # Folders of protocols have no ~ in their names.
        draft, lock = (self.folder.with_name(f"{self.folder.name}~{kind}") for kind in ("draft", "lock"))
        with exclusive_lock(lock, f"{self.folder}: another process is at this evaluation"):
            if self.is_done:  # by a process that had the lock before
                return
            self.run.check()  # the data may have changed since the comparison started
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            try:
                with log_to(self.log):
                    self._evaluate_into(draft)
                if (self.folder / CONFIG).is_file():  # of an earlier state of the run, or damaged
                    shutil.rmtree(self.folder)
                os.replace(draft, self.folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _evaluate_into(self, folder: Path) -> None:
        machine = {key: value for key, value in self.run.keys.items() if key in MACHINE_KEYS}
        data_path = self.run.configuration().resolved["data_path"]
        trained = sha256_of(self.run.folder / METRICS)
        run = load(self.run.folder, {**machine, "data_path": data_path, **self.keys})
        result, rankings = evaluate_weights(run)
        write_config(folder, run.config.resolved)
        write_rankings(run, rankings, folder)
        write_metrics(folder, {**result, TRAINED: trained})
        logger.info("%s\n%s", self, result_table(result))
