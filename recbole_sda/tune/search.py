"""The search: Ray Tune trains trials and stops the weak ones early; only the best trial is evaluated on test data, at the end."""

import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import yaml
from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import BasicVariantGenerator

from recbole_sda.config.known_keys import check_keys
from recbole_sda.data.interaction_files import input_hashes
from recbole_sda.engine import experiment
from recbole_sda.engine.run import configure
from recbole_sda.engine.run_folder import METRICS, read_metrics
from recbole_sda.engine.summary import result_table
from recbole_sda.errors import InputError
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.io.logs import start_logging
from recbole_sda.io.yaml import read_yaml
from recbole_sda.machine.ray_session import check_gpu_share, ray_session, worker_device_keys
from recbole_sda.tune.space import Space
from recbole_sda.tune.trial import Trial, outcome, train_trial, trial_folder
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE

logger = logging.getLogger(__name__)

SEARCH, BEST, SCRATCH = "search.json", "best.yaml", ".ray-tune"


class Search:
    """A search for the hyper-parameters of one model on one data set.

    Args:
        model: name of the model, as in :func:`recbole_sda.engine.experiment.run`.
        dataset: name of the data set.
        space: the values to try.
        config_files: YAML files of keys that are the same in all trials.
        keys: further keys that are the same in all trials; they override the files.
        out: folder of the trials and the result. A search with the same folder continues an interrupted one.
        parallel: trials at once, at least 1.
        gpus: share of a GPU for each trial; 0: none.
        address: of a Ray cluster (``auto``: the one that this machine belongs to), whose machines share ``out`` and the data.

    Raises:
        InputError: a key is unknown, not read by the model, or both fixed and searched; or a value is out of range.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        space: Space,
        config_files: Sequence[Union[str, Path]] = (),
        keys: Optional[Dict[str, Any]] = None,
        out: Union[str, Path] = "runs/tune",
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
        unread = check_keys(list(space.domains), model, "search space", strict=True)
        if unread:
            raise InputError(f"search space: {model} does not read {', '.join(unread)}")
        for key in space.domains:
            if key in self.keys or key == "run_dir":
                raise InputError(f"{key} is both given and searched for; leave one of the two out")
        config = configure(model, dataset, self.files, self.keys)
        self.dataset = config["dataset"]  # the miniature where the data set is not prepared
        self.keys["data_path"] = str(Path(config.resolved["data_path"]).resolve())
        self.inputs = input_hashes(config)
        self.epochs, self.metric = config["epochs"], config["valid_metric"]
        self.bigger = bool(config["valid_metric_bigger"])

    def trial(self, settings: Dict[str, Any]) -> Trial:
        """Return the trial of some settings (key -> value)."""
        keys = {**self.keys, **settings}
        folder = trial_folder(self.out, self.model, self.dataset, self.files, keys, self.inputs)
        return Trial(self.model, self.dataset, self.files, keys, folder)

    def run(self) -> Dict[str, Any]:
        """Run the trials and write ``search.json`` and ``best.yaml``.

        Returns:
            The content of ``search.json``: ``trials``, the best first, ``best``, and the metric of ``selection``.

        Raises:
            InputError: another search uses the folder, or no trial reached an evaluation.
        """
        started = time.time()
        self.out.mkdir(parents=True, exist_ok=True)
        busy = f"{self.out}: another search is running in this folder"
        with exclusive_lock(self.out / ".lock", busy), ray_session(self.address):
            check_gpu_share(self.gpus)
            trials = self._search()
        scored = [trial for trial in trials if trial["score"] is not None]
        if not scored:
            errors = sorted({trial["error"] for trial in trials if trial["error"]})
            raise InputError(f"no trial reached an evaluation: {'; '.join(errors[:3]) or 'see ' + str(self.out)}")
        scored.sort(key=lambda trial: trial["score"], reverse=self.bigger)
        result = {
            "model": self.model,
            "dataset": self.dataset,
            "selection": f"{self.metric} on validation data",
            "seconds": round(time.time() - started, 1),
            "trials": scored + [trial for trial in trials if trial["score"] is None],
            "best": scored[0],
        }
        (self.out / SEARCH).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        self._write_best(scored[0]["settings"])
        return result

    def test(self, search: Dict[str, Any]) -> Dict[str, Any]:
        """Return the result of the best trial with its test metrics, which are computed once and stored in its folder.

        Args:
            search: result of :meth:`run`.
        """
        folder = self.out / search["best"]["folder"]
        result = read_metrics(folder) if (folder / METRICS).is_file() else None
        if (
            result is None or result["best_epoch"] != search["best"]["epoch"]
        ):  # a longer search may have trained it further
            result = experiment.evaluate_untested_run(folder)
        logger.info("best of %d trials, %s\n%s", len(search["trials"]), self.out / BEST, result_table(result))
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
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        (self.out / BEST).write_text(text, encoding="utf-8")

    def _search(self) -> List[Dict[str, Any]]:
        def trainable(config: Dict[str, Any]) -> None:
            start_logging("error")  # the log is in the trial's folder
            train_trial(self.trial(config["settings"]), _report, worker_device_keys(self.gpus))

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
            param_space={"settings": tune.grid_search(self.space.settings())},
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
        trials = [self._trial_record(results[k]) for k in range(len(results))]
        shutil.rmtree(folder, ignore_errors=True)
        return trials

    def _trial_record(self, result: tune.Result) -> Dict[str, Any]:
        """Return a trial's entry in ``search.json``."""
        settings = (result.config or {})["settings"]
        trial = self.trial(settings)
        best = outcome(trial.folder, self.metric, self.bigger)
        return {
            "settings": settings,
            "score": best.score if best else None,
            "epoch": best.epoch if best else None,
            "epochs": best.epochs if best else 0,
            "folder": str(trial.folder.relative_to(self.out)),
            "error": _last_line(result.error) if result.error else None,
        }


def _report(epoch: int, score: float, best: float) -> None:
    tune.report({"epoch": epoch, "score": score, "best": best})


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class _Progress(Callback):
    """Logs a line per ended trial."""

    def __init__(self, metric: str):
        self.metric, self.n_ended = metric, 0

    def _log(self, trial: Any, state: str) -> None:
        self.n_ended += 1
        last = trial.last_result or {}
        settings = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in trial.config["settings"].items()
        )
        best = f"{self.metric} {last['best']:.4f}" if "best" in last else "no evaluation"
        logger.info("trial %d %s: %s after %s epochs | %s", self.n_ended, state, best, last.get("epoch", 0), settings)

    def on_trial_complete(self, iteration: int, trials: List[Any], trial: Any, **info: Any) -> None:
        self._log(trial, "ended")

    def on_trial_error(self, iteration: int, trials: List[Any], trial: Any, **info: Any) -> None:
        self._log(trial, "failed")


def tune_settings(
    model: str,
    dataset: str,
    space: Space,
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
    return search.test(search.run())
