"""The search: Ray Tune draws settings and stops the weak ones; the best one meets the test data once, at the end."""

import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import yaml
from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import BasicVariantGenerator

from recbole_sda.config.run_config import check_keys
from recbole_sda.data.datasets import inputs_of
from recbole_sda.engine import experiment
from recbole_sda.engine.run import configure
from recbole_sda.engine.run_folder import METRICS, read_metrics, result_table, start_logging
from recbole_sda.errors import InputError
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.io.yaml import read_yaml
from recbole_sda.machine.ray_session import check_gpu_share, ray_session, worker_device_keys
from recbole_sda.tune.space import Space
from recbole_sda.tune.trial import Trial, outcome, train_trial, trial_folder
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE

logger = logging.getLogger(__name__)

SEARCH, BEST, SCRATCH = "search.json", "best.yaml", ".ray-tune"


class Search:
    """A search for the settings of one model on one data set.

    Args:
        model, dataset: as in :func:`recbole_sda.engine.experiment.run`.
        space: what is tried.
        config_files, keys: what is fixed.
        out: folder of the trials and the result; the same one goes on with an interrupted search.
        parallel: trials at once, where there is room.
        gpus: share of a GPU for each trial.
        address: of a Ray cluster (``auto``: this machine's); its machines share ``out`` and the data.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        space: Space,
        config_files: Sequence[str] = (),
        keys: Optional[Dict[str, Any]] = None,
        out="runs/tune",
        parallel: int = 1,
        gpus: float = 0.0,
        address: Optional[str] = None,
    ):
        self.model, self.dataset, self.space = model, dataset, space
        self.files = tuple(str(Path(path).resolve()) for path in config_files)
        self.keys, self.out = dict(keys or {}), Path(out).resolve()
        self.parallel, self.gpus, self.address = parallel, gpus, address
        AT_LEAST_ONE.check("parallel", parallel, whole=True)
        NOT_NEGATIVE.check("gpus", gpus)
        dead = check_keys(list(space.domains), model, "search space", strict=True)
        if dead:
            raise InputError(f"search space: {model} does not read {', '.join(dead)}")
        for key in space.domains:
            if key in self.keys or key == "run_dir":
                raise InputError(f"{key} is given and searched for as well; leave one of the two out")
        config = configure(model, dataset, config_files, self.keys)
        self.dataset = config["dataset"]  # the miniature where the data set is not prepared
        self.keys["data_path"] = str(Path(config.resolved["data_path"]).resolve())
        self.inputs = inputs_of(config)
        self.epochs, self.metric = config["epochs"], config["valid_metric"]
        self.bigger = bool(config["valid_metric_bigger"])

    def trial(self, drawn: Dict[str, Any]) -> Trial:
        """Return the trial of drawn settings."""
        keys = {**self.keys, **drawn}
        folder = trial_folder(self.out, self.model, self.dataset, self.files, keys, self.inputs)
        return Trial(self.model, self.dataset, self.files, keys, folder)

    def run(self) -> Dict[str, Any]:
        """Search, write ``search.json`` and ``best.yaml``, test the best trial; return what ``search.json`` holds.

        Raises:
            InputError: no trial could be evaluated.
        """
        started = time.time()
        self.out.mkdir(parents=True, exist_ok=True)
        busy = f"{self.out}: another search is at work in this folder"
        with exclusive_lock(self.out / ".lock", busy), ray_session(self.address):
            check_gpu_share(self.gpus)
            trials = self._search()
        found = [trial for trial in trials if trial["score"] is not None]
        if not found:
            errors = sorted({trial["error"] for trial in trials if trial["error"]})
            raise InputError(f"no trial came to an evaluation: {'; '.join(errors[:3]) or 'see ' + str(self.out)}")
        found.sort(key=lambda trial: trial["score"], reverse=self.bigger)
        result = {
            "model": self.model,
            "dataset": self.dataset,
            "selection": f"{self.metric} on validation data",
            "seconds": round(time.time() - started, 1),
            "trials": found + [trial for trial in trials if trial["score"] is None],
            "best": found[0],
        }
        (self.out / SEARCH).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        self._write_best(found[0]["settings"])
        return result

    def test(self, found: Dict[str, Any]) -> Dict[str, Any]:
        """Return the result of the best trial with its test metrics, made once and kept in its folder."""
        folder = self.out / found["best"]["folder"]
        result = read_metrics(folder) if (folder / METRICS).is_file() else None
        if result is None or result["best_epoch"] != found["best"]["epoch"]:  # a longer search may have trained it on
            result = experiment.evaluate_untested_run(folder)
        logger.info("best of %d trials, %s\n%s", len(found["trials"]), self.out / BEST, result_table(result))
        return result

    def _write_best(self, drawn: Dict[str, Any]) -> None:
        """Write the best settings as a file that the main command takes; later keys win as they did in the trial."""
        values: Dict[str, Any] = {"model": self.model, "dataset": self.dataset}
        for path in self.files:
            values.update(read_yaml(path))
        keys = {**self.keys, **drawn}
        values.update({**keys, "model": self.model, "dataset": self.dataset})
        if "eval_args" in values:  # whose parts the files and keys give together
            values["eval_args"] = configure(self.model, self.dataset, self.files, keys).resolved["eval_args"]
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        (self.out / BEST).write_text(text, encoding="utf-8")

    def _search(self) -> List[Dict[str, Any]]:
        def trainable(config: Dict[str, Any]) -> None:
            start_logging("error")  # the trial's folder has its log
            train_trial(self.trial(config["drawn"]), _report, worker_device_keys(self.gpus))

        scheduler = ASHAScheduler(
            time_attr="epoch",
            max_t=max(self.epochs, self.space.grace_epochs),
            grace_period=min(self.space.grace_epochs, self.epochs),
            reduction_factor=self.space.reduction,
        )
        folder = self.out / SCRATCH
        shutil.rmtree(folder, ignore_errors=True)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1, "gpu": self.gpus}),
            param_space={"drawn": tune.grid_search(self.space.settings())},
            tune_config=tune.TuneConfig(
                metric="best",
                mode="max" if self.bigger else "min",
                scheduler=scheduler,
                search_alg=BasicVariantGenerator(max_concurrent=self.parallel),
            ),
            run_config=tune.RunConfig(
                storage_path=str(folder), name="search", verbose=0, callbacks=[_Progress(self.metric)]
            ),
        )
        results = tuner.fit()
        trials = []
        for result in results:
            trial = self.trial(result.config["drawn"])
            known = outcome(trial.folder, self.metric, self.bigger)
            line = {
                "settings": result.config["drawn"],
                "score": known.score if known else None,
                "epoch": known.epoch if known else None,
                "epochs": known.epochs if known else 0,
                "folder": str(trial.folder.relative_to(self.out)),
                "error": _last_line(result.error) if result.error else None,
            }
            trials.append(line)
        shutil.rmtree(folder, ignore_errors=True)
        return trials


def _report(epoch: int, score: float, best: float) -> None:
    tune.report({"epoch": epoch, "score": score, "best": best})


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class _Progress(Callback):
    """A line per trial that ended."""

    def __init__(self, metric: str):
        self.metric, self.ended = metric, 0

    def _tell(self, trial, how: str) -> None:
        self.ended += 1
        last = trial.last_result or {}
        settings = trial.config["drawn"].items()
        drawn = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings)
        best = f"{self.metric} {last['best']:.4f}" if "best" in last else "no evaluation"
        logger.info("trial %d %s: %s after %s epochs | %s", self.ended, how, best, last.get("epoch", 0), drawn)

    def on_trial_complete(self, iteration, trials, trial, **info):
        self._tell(trial, "ended")

    def on_trial_error(self, iteration, trials, trial, **info):
        self._tell(trial, "failed")


def tune_settings(
    model: str, dataset: str, space: Space, config_files: Sequence[str], keys: Dict[str, Any], **options
) -> Dict[str, Any]:
    """Search, then test the best; return the best run's result, see :class:`Search`."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C ends the command, which goes on when it is given again
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Tune's own table of its configuration
    search = Search(model, dataset, space, config_files, keys, **options)
    return search.test(search.run())
