"""The search: trials of a space, or of its stages, on validation data; the best trial alone is tested, once, at the end."""

import hashlib
import json
import logging
import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import yaml

from recbole_sda.data.interaction_files import input_hashes
from recbole_sda.engine import experiment
from recbole_sda.engine.run import configure
from recbole_sda.engine.run_folder import METRICS, read_metrics
from recbole_sda.engine.summary import result_table
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import remove_file_drafts, write_lines
from recbole_sda.io.checkpoint import BEST as BEST_WEIGHTS
from recbole_sda.io.json import read_json
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.io.schema import NUMBER
from recbole_sda.io.yaml import read_yaml
from recbole_sda.machine.ray_session import check_gpu_share, ray_session
from recbole_sda.model.model_table import SUFFIX
from recbole_sda.model.settings import SDASettings
from recbole_sda.tracking.settings import KEYS as TRACKING_KEYS
from recbole_sda.tune.ray_trials import Training, run_trials, settings_text
from recbole_sda.tune.space import Space
from recbole_sda.tune.space_keys import check_space_keys
from recbole_sda.tune.stages import Plan, Stage, StagedSpace, StagePlanner, whole_space
from recbole_sda.tune.tracked_search import describe_search, track_search
from recbole_sda.tune.trial import Trial, outcome, trial_folder
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE

logger = logging.getLogger(__name__)

STAGE = {
    "inputs": str,
    "best": {"folder": str, "settings": dict, "score": NUMBER},
    "trials": [{"error": (str, None), "folder": (str, None)}],
}
SHAPE = {"stages?": [STAGE]}  # of search.json, as far as it is read again
SEARCH, BEST, SCRATCH = "search.json", "best.yaml", ".ray-tune"


class Search:
    """A search for the hyper-parameters of one model on one data set.

    Args:
        model: name of the model, as in :func:`recbole_sda.engine.experiment.run`.
        dataset: name of the data set.
        space: the values to try, perhaps in stages.
        config_files: YAML files of keys that are the same in all trials.
        keys: further keys that are the same in all trials; they override the files.
        out: folder of the trials and the result. A search with the same folder continues an interrupted one.
        parallel: trials at once, at least 1.
        gpus: share of a GPU for each trial; 0: none.
        address: of a Ray cluster (``auto``: the one that this machine belongs to), whose machines share ``out`` and the data.

    Raises:
        InputError: a key is unknown, not read, both fixed and searched, or makes trials incomparable; a value is out of range.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        space: Union[Space, StagedSpace],
        config_files: Sequence[Union[str, Path]] = (),
        keys: Optional[Dict[str, Any]] = None,
        out: Union[str, Path] = "runs/tune",
        parallel: int = 1,
        gpus: float = 0.0,
        address: Optional[str] = None,
    ):
        if not isinstance(out, (str, Path)) or not str(out):
            raise InputError(f"out={out!r}: expected a folder")
        self.model, self.dataset = model, dataset
        self.staged = isinstance(space, StagedSpace)
        self.stages = space.stages if isinstance(space, StagedSpace) else (Stage("", space),)
        self.files = tuple(str(Path(path).resolve()) for path in config_files)
        self.keys, self.out = dict(keys or {}), Path(out).resolve()
        self.address = address
        AT_LEAST_ONE.check("parallel", parallel, whole=True)
        NOT_NEGATIVE.check("gpus", gpus)
        for stage in self.stages:
            place = f"search space, stage {stage.name}" if self.staged else "search space"
            check_space_keys(place, stage.space.keys, model, self.keys)
            if stage.space.is_suggested and find_spec("optuna") is None:
                raise InputError("search_alg=optuna needs Optuna: pip install -e '.[optuna]'")
        config = configure(model, dataset, self.files, self.keys)
        self.dataset = config["dataset"]  # the miniature where the data set is not prepared
        self.keys["data_path"] = str(Path(config.resolved["data_path"]).resolve())
        self.inputs = input_hashes(config)
        self.metric, self.bigger = config["valid_metric"], bool(config["valid_metric_bigger"])
        self.tracking = {key: config[key] for key in TRACKING_KEYS}
        self.training = Training(self.metric, self.bigger, config["epochs"], parallel, gpus)

    def trial(self, settings: Dict[str, Any]) -> Trial:
        """Return the trial of some settings (key -> value)."""
        keys = {**self.keys, **settings}
        folder = trial_folder(self.out, self.model, self.dataset, self.files, keys, self.inputs)
        return Trial(self.model, self.dataset, self.files, keys, folder)

    def run(self) -> Dict[str, Any]:
        """Run the trials. ``search.json`` and ``best.yaml`` are written after each stage, with the best settings so far.

        A stage that was finished before, by an interrupted search with the same inputs, is not repeated unless a trial failed.

        Returns:
            The content of ``search.json``: ``trials``, the best first, ``best``, and the metric of ``selection``. A space with
            stages has ``stages`` in place of ``trials``, each with its own ``trials`` and ``best``.

        Raises:
            InputError: another search uses the folder, or no trial of a stage reached an evaluation.
        """
        started = time.time()
        self.out.mkdir(parents=True, exist_ok=True)
        busy = f"{self.out}: another search is running in this folder"
        planner, result = StagePlanner(self._resolve), {}
        records: List[Dict[str, Any]] = []
        with exclusive_lock(self.out / ".lock", busy), ray_session(self.address):
            remove_file_drafts(self.out)
            check_gpu_share(self.training.gpus)
            finished = self._finished_stages()
            for number, stage in enumerate(self.stages, 1):
                best = records[-1]["best"]["settings"] if records else {}
                plan = planner.plan(stage.space, best) if self.staged else whole_space(stage.space)
                if self.staged:
                    _log_plan(f"stage {number} of {len(self.stages)}, {stage.name}", plan)
                inputs = self._inputs_of(stage, plan)
                record = finished.get(inputs) or self._run_stage(stage, plan, inputs)
                if self.staged:
                    _log_best(stage, record, self.metric)
                records.append(record)
                result = self._write(records, time.time() - started)
        return result

    def test(self, search: Dict[str, Any]) -> Dict[str, Any]:
        """Return the result of the best trial with its test metrics, which are computed once and stored in its folder.

        Args:
            search: result of :meth:`run`.
        """
        folder = self.out / search["best"]["folder"]
        result = read_metrics(folder) if (folder / METRICS).is_file() else None
        # A longer search may have trained it further.
        if result is None or result["best_epoch"] != search["best"]["epoch"]:
            result = experiment.evaluate_untested_run(folder, {"data_path": self.keys["data_path"]})
        stages = search["stages"] if self.staged else [search]
        n_trials = len({trial["folder"] for stage in stages for trial in stage["trials"]} - {None})
        logger.info("best of %d trials, %s\n%s", n_trials, self.out / BEST, result_table(result))
        return result

    def _write_best(self, settings: Dict[str, Any]) -> None:
        """Write the best settings as a configuration file of the main command, with the same precedence as in the trial."""
        values: Dict[str, Any] = {"model": self.model, "dataset": self.dataset}
        for path in self.files:
            values.update(read_yaml(path))
        keys = {**self.keys, **settings}
        values.update({**keys, "model": self.model, "dataset": self.dataset})
        if "eval_args" in values:  # its parts may come from several files and keys
            values["eval_args"] = configure(self.model, self.dataset, self.files, keys).resolved["eval_args"]
        write_lines(self.out / BEST, [yaml.safe_dump(values, sort_keys=False, allow_unicode=True)])

    def _resolve(self, settings: Dict[str, Any]) -> Dict[str, Any]:
        """Return the whole configuration of a trial; one that the model refuses is an InputError."""
        config = configure(self.model, self.dataset, self.files, {**self.keys, **settings})
        if self.model.endswith(SUFFIX):
            SDASettings.from_config(config)
        return config.resolved

    def _inputs_of(self, stage: Stage, plan: Plan) -> str:
        """Return a hash of all inputs of a stage's result."""
        folders = [self.trial(planned.trained).folder.name for planned in plan.trials]
        space, common = stage.space, self.training
        options = [space.grace_epochs, space.reduction, common.epochs, common.metric, common.bigger]
        if space.is_suggested:
            options += [str(space.domains), space.samples, space.seed]
        content = json.dumps([stage.name, folders, plan.trials, plan.refused, options], default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def _finished_stages(self) -> Dict[str, Dict[str, Any]]:
        """Return the stages of an earlier ``search.json`` that need not be repeated, by the hash of their inputs."""
        path = self.out / SEARCH
        if not self.staged or not path.is_file():
            return {}
        stages = read_json(path, SHAPE, "remove it to repeat the search").get("stages", [])
        return {
            stage["inputs"]: stage
            for stage in stages
            if (self.out / stage["best"]["folder"]).is_dir()
            and not any(trial["error"] for trial in stage["trials"] if trial["folder"])
        }

    def _run_stage(self, stage: Stage, plan: Plan, inputs: str) -> Dict[str, Any]:
        """Run the trials of a stage and return its entry in ``search.json``."""
        trials = [self.trial(planned.trained) for planned in plan.trials]
        settings = [planned.settings for planned in plan.trials]
        errors = run_trials(trials, settings, stage.space, self.training, self._scratch()) if trials else []
        records = [self._trial_record(*ended) for ended in zip(settings, trials, errors)]
        if stage.space.is_suggested:
            suggested = self._run_suggested(stage.space, plan.best, self.out / f".suggested-{inputs}.jsonl")
            records += [self._trial_record({**plan.best, **one.settings}, one.trial, one.error) for one in suggested]
        records += [self._trial_record(refused.settings, None, refused.reason) for refused in plan.refused]
        for record in records:
            if record["error"] and record["folder"]:
                logger.warning("failed: %s | %s", record["error"], settings_text(record["settings"]))
        scored = [record for record in records if record["score"] is not None]
        if not scored:
            place = f"stage {stage.name}: " if self.staged else ""
            reasons = sorted({record["error"] for record in records if record["error"]})
            raise InputError(
                f"{place}no trial reached an evaluation: {'; '.join(reasons[:3]) or 'see ' + str(self.out)}"
            )
        scored.sort(key=lambda record: record["score"], reverse=self.bigger)
        records = scored + [record for record in records if record["score"] is None]
        return {"name": stage.name, "inputs": inputs, "trials": records, "best": scored[0]}

    def _run_suggested(self, space: Space, best: Dict[str, Any], record: Path) -> Any:
        """Run the trials that Optuna suggests, from the best settings of the stages before."""
        from recbole_sda.tune.suggested_trials import run_suggested

        return run_suggested(lambda own: self.trial({**best, **own}), space, self.training, record, self._scratch())

    def _scratch(self) -> Path:
        """Return a folder for Ray Tune's own files: on this machine alone, one that does not take space from the results."""
        return self.out / SCRATCH if self.address else Path(tempfile.mkdtemp(prefix="ray-tune-"))

    def _trial_record(self, settings: Dict[str, Any], trial: Optional[Trial], error: Optional[str]) -> Dict[str, Any]:
        """Return a trial's entry in ``search.json``; settings that were refused have no trial."""
        usable = trial is not None and (error is None or (trial.folder / BEST_WEIGHTS).is_file())
        best = outcome(trial.folder, self.metric, self.bigger) if trial and usable else None
        return {
            "settings": settings,
            "score": best.score if best else None,
            "epoch": best.epoch if best else None,
            "epochs": best.epochs if best else 0,
            "folder": str(trial.folder.relative_to(self.out)) if trial else None,
            "error": error,
        }

    def _write(self, stages: List[Dict[str, Any]], seconds: float) -> Dict[str, Any]:
        """Write ``search.json`` and ``best.yaml``; return the content of the first."""
        best = stages[-1]["best"]
        result = {
            "model": self.model,
            "dataset": self.dataset,
            "selection": f"{self.metric} on validation data",
            "seconds": round(seconds, 1),
            **({"stages": stages} if self.staged else {"trials": stages[0]["trials"]}),
            "best": best,
        }
        write_lines(self.out / SEARCH, [json.dumps(result, indent=2) + "\n"])
        self._write_best(best["settings"])
        return result


def _log_plan(place: str, plan: Plan) -> None:
    logger.info("%s: %d trials", place, len(plan.trials))
    for refused in plan.refused:
        logger.warning("%s: skipped: %s | %s", place, refused.reason, settings_text(refused.settings))


def _log_best(stage: Stage, record: Dict[str, Any], metric: str) -> None:
    best = record["best"]
    logger.info("stage %s: best %s %.4f | %s", stage.name, metric, best["score"], settings_text(best["settings"]))


def tune_settings(
    model: str,
    dataset: str,
    space: Union[Space, StagedSpace],
    config_files: Sequence[Union[str, Path]],
    keys: Dict[str, Any],
    **options: Any,
) -> Dict[str, Any]:
    """Search, then evaluate the best trial on test data; return its result, as the content of ``metrics.json``.

    Args:
        model, dataset, space, config_files, keys: as in :class:`Search`.
        **options: further arguments of :class:`Search`: ``out``, ``parallel``, ``gpus``, ``address``.

    Raises:
        InputError: see :class:`Search` and :meth:`Search.run`.
    """
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C ends the command; the same command continues
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # no table of Tune's own configuration
    search = Search(model, dataset, space, config_files, keys, **options)
    with track_search(search) as trackers:
        found = search.run()
        result = search.test(found)
        describe_search(trackers, found, result)
    return result
