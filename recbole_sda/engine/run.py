"""A run as an object: its configuration, data, model and trainer, new or opened from a run folder."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence, Union

import torch

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.config.defaults import defaults_of_earlier_run, sda_defaults
from recbole_sda.config.key_forms import text
from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.dataset_choice import choose_dataset, ensure_sample
from recbole_sda.data.datasets import Data, load_data
from recbole_sda.engine.ensemble_members import build_ensemble
from recbole_sda.engine.fallback_choice import follow_choice
from recbole_sda.engine.run_folder import CONFIG, CONFIG_SHAPE, has_no_run
from recbole_sda.engine.trainer import RunTrainer, make_trainer
from recbole_sda.engine.trainer_checkpoints import identity_of
from recbole_sda.errors import InputError, plain_message
from recbole_sda.features.hub_store import hub_store
from recbole_sda.features.store_choice import store_names, store_path
from recbole_sda.io.checkpoint import BEST
from recbole_sda.io.hub import is_hub_name
from recbole_sda.io.names import safe_name
from recbole_sda.io.schema import check_shape
from recbole_sda.io.yaml import read_yaml
from recbole_sda.machine import torchrun
from recbole_sda.machine.memory import reset_peak
from recbole_sda.model.absent_items import leave_out_absent_items
from recbole_sda.model.activation import use_fused_gelu
from recbole_sda.model.completed_items import complete_cold_items
from recbole_sda.model.model_table import ENSEMBLES
from recbole_sda.model.named_models import check_named
from recbole_sda.model.propagation import use_fast_products
from recbole_sda.model.registry import base_name, model_class, reads_store
from recbole_sda.recbole_patches.no_pickle import without_pickle

from recbole.utils import init_seed  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

logger = logging.getLogger(__name__)

# Of RecBole and torch, while a model is made: wrong values, and sizes that no memory holds.
MODEL_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Run(NamedTuple):
    """A run in memory, from :func:`load` or :func:`build`.

    Attributes:
        config: the configuration; ``config["learning_rate"]`` is the value of a key.
        data: RecBole's data set and the dataloaders ``data.train``, ``data.valid`` and ``data.test``.
        model: the model, on the device of the run.
        trainer: RecBole's trainer, for example for ``trainer.evaluate(data.test, load_best_model=False)``.
        run_dir: the run folder.

    Example:
        Rank all items for user ``u2`` of a trained model; the item ids of RecBole are internal numbers.

        >>> import os, tempfile
        >>> import torch
        >>> from recbole.data.interaction import Interaction
        >>> from recbole_sda.engine.experiment import run
        >>> folder = tempfile.TemporaryDirectory()
        >>> os.makedirs(f"{folder.name}/toy")
        >>> with open(f"{folder.name}/toy/toy.inter", "w") as file:
        ...     rows = [f"u{u}\\ti{(3 * u + t) % 9}\\t{t}" for u in range(9) for t in range(5)]
        ...     print("user_id:token\\titem_id:token\\ttimestamp:float", *rows, sep="\\n", file=file)
        >>> keys = {"data_path": folder.name, "runs_path": f"{folder.name}/runs", "epochs": 1, "use_gpu": False}
        >>> keys |= {"topk": [5], "valid_metric": "NDCG@5"}
        >>> trained = load(run("BPR", "toy", overrides=keys)["run_dir"])
        >>> type(trained.model).__name__, trained.data.dataset.item_num - 1, trained.config["epochs"]
        ('BPR', 9, 1)
        >>> user = trained.data.dataset.token2id("user_id", "u2")
        >>> with torch.no_grad():
        ...     scores = trained.model.full_sort_predict(Interaction({"user_id": torch.tensor([user])}))
        >>> scores.shape  # one score per item; item 0 is padding
        torch.Size([10])
        >>> folder.cleanup()
    """

    config: RunConfig
    data: Data
    model: torch.nn.Module
    trainer: RunTrainer
    run_dir: Path


def configure(
    model: str,
    dataset: str,
    config_files: Sequence[str] = (),
    overrides: Optional[Dict[str, Any]] = None,
    source: str = "command line",
) -> RunConfig:
    """Return the configuration of a run.

    A supported data set that is not prepared is replaced by its built-in miniature, which is generated if necessary.

    Args:
        model, dataset, config_files, overrides: see :func:`recbole_sda.engine.experiment.run`.
        source: where ``overrides`` were given, for messages.

    Raises:
        InputError: a name, file, key or value cannot be used.
    """
    config = RunConfig(model, dataset, config_files, overrides, source)
    data_path = config.resolved["data_path"]
    chosen = choose_dataset(dataset, data_path)
    if chosen.endswith(SAMPLE_SUFFIX):
        torchrun.run_on_main_process(lambda: ensure_sample(chosen, data_path))
    # Read again: a data set's own file, and the columns of its interaction file, take part in the configuration.
    config = RunConfig(model, chosen, config_files, overrides, source)
    if reads_store(config) and config["features"] is None:
        # By name, so that a store which is added later changes nothing of this run.
        config["features"] = config.resolved["features"] = _default_features(config["data_path"])
    elif reads_store(config) and is_hub_name(config["features"]):
        # By commit, so that a resumed run reads the same bytes.
        config["features"] = config.resolved["features"] = hub_store(config["features"]).pinned
    return config


@lru_cache(maxsize=None)  # a comparison asks for every run
def _log_choice(name: str, others: str, folder: str) -> None:
    logger.info("features: %s, the default of %s; also there: %s (--features=NAME)", name, folder, others)


def _default_features(dataset_path: str) -> str:
    """Return the name of the feature store that a run reads where none is named."""
    name = store_path(dataset_path).name
    others = [other for other in store_names(dataset_path) if other != name]
    if others:
        _log_choice(name, ", ".join(others), dataset_path)
    return name


def build(config: RunConfig, run_dir: Path, with_test: bool = True, keep_peak: bool = False) -> Run:
    """Load the data of a configuration and create its model and trainer.

    Args:
        config: configuration from :func:`configure`.
        run_dir: the run folder.
        with_test: False leaves the test part out, see :func:`recbole_sda.data.datasets.load_data`.
        keep_peak: whether the largest memory in use so far counts for this run too.
    """
    if config["threads"]:
        torch.set_num_threads(int(config["threads"]))
    if config.ignored_keys:
        logger.warning("not read by %s: %s", config["model"], ", ".join(sorted(set(config.ignored_keys))))
    if config["device"].type == "cuda":
        torch.cuda.set_device(config["device"])  # for what RecBole's models put on "cuda" without a number
    if not keep_peak:
        reset_peak(config["device"])
    init_seed(config["seed"], config["reproducibility"])
    (run_dir / BEST).parent.mkdir(
        parents=True, exist_ok=True
    )  # RecBole's own way fails if two processes create it at once
    config["checkpoint_dir"] = str(run_dir / BEST.parent)
    data = load_data(config, with_test)
    init_seed(config["seed"] + torchrun.rank(), config["reproducibility"])
    model = _model(config, data).to(config["device"])
    leave_out_absent_items(model, base_name(config["model"]), data.train._dataset)
    use_fused_gelu(model)
    use_fast_products(model)
    complete_cold_items(model, config, data.train._dataset)
    dataset = data.dataset
    trainer = make_trainer(config, model, run_dir, identity_of(config, data.train._dataset, model))
    trainer.decay_rare_items(data.counts.items)
    logger.info(
        "%s on %s: %d users, %d items, %d parameters, %s",
        config["model"], config["dataset"], dataset.user_num - 1, dataset.item_num - 1,
        sum(p.numel() for p in model.parameters() if p.requires_grad), config["device"],
    )  # fmt: skip
    return Run(config, data, model, trainer, run_dir)


def _model(config: RunConfig, data: Data) -> torch.nn.Module:
    """Create the model. Errors of its constructor become InputErrors: they come from values of keys."""
    if config["model"] in ENSEMBLES:
        return build_ensemble(config, data)
    try:
        with without_pickle():
            return model_class(config["model"])(config, data.train._dataset)
    except InputError:
        raise
    except MODEL_ERRORS as error:
        reason = plain_message(error)
        raise InputError(f"{config['model']} cannot be made with the values of its keys ({reason})") from error


def settings_of(run_dir: Path) -> Dict[str, Any]:
    """Return the configuration in a run folder, with the keys of a family of models that came after the run.

    Raises:
        InputError: the folder has none, it lacks the model, the data set or its place, or it names a model that is a
            user's own and was not named by the user.
    """
    if not (run_dir / CONFIG).is_file():
        begun = run_dir.is_dir() and has_no_run(run_dir)
        hint = "; a run that was killed before it wrote that file is started again by its own command" if begun else ""
        raise InputError(f"{run_dir} is not a run folder: {CONFIG} is missing{hint}")
    values = read_yaml(run_dir / CONFIG)
    check_named(values.get("model"), str(run_dir / CONFIG))
    check_shape(values, CONFIG_SHAPE, str(run_dir / CONFIG))
    try:
        return {**values, **defaults_of_earlier_run(values)}
    except InputError as error:
        raise InputError(f"{run_dir / CONFIG}: {error}") from None


def open_run(run_dir: Union[str, Path], overrides: Optional[Dict[str, Any]] = None) -> Run:
    """Open a run folder without loading any weights.

    Args:
        run_dir: the run folder.
        overrides: keys that replace those of the run's configuration.

    Raises:
        InputError: the folder is no run folder, its data set is missing, or a key or value cannot be used.
    """
    run_dir = Path(run_dir)
    values = settings_of(run_dir)
    dataset, data_path = values["dataset"], (overrides or {}).get("data_path", values["data_path"])
    safe_name(f"{run_dir / CONFIG}: dataset", dataset)
    text("data_path", str(data_path) if isinstance(data_path, Path) else data_path)
    if not _is_there(dataset, data_path):
        raise InputError(
            f"{run_dir} was made on {dataset}, which is no longer in {data_path}; --data_path names another place"
        )
    if dataset.endswith(SAMPLE_SUFFIX) and torchrun.is_main():
        ensure_sample(dataset, data_path)
    kept = {key: values[key] for key in sda_defaults(values["model"])}  # also where the file lacks them
    try:
        config = RunConfig(values["model"], dataset, [str(run_dir / CONFIG)], {**kept, **(overrides or {})})
    except InputError as error:  # of a value in that file, or of an override
        raise InputError(f"{run_dir / CONFIG}: {error}") from None
    follow_choice(run_dir, config, overrides or {})
    return build(config, run_dir)


def _is_there(dataset: str, data_path: Union[str, Path]) -> bool:
    try:
        return choose_dataset(dataset, data_path) == dataset
    except InputError:
        return False


def load(run_dir: Union[str, Path], overrides: Optional[Dict[str, Any]] = None) -> Run:
    """Open a run folder and load the weights of its best epoch.

    Args:
        run_dir: the run folder.
        overrides: keys that replace those of the run's configuration, such as ``{"use_gpu": False}``.

    Returns:
        The run; its model is in evaluation mode.

    Raises:
        InputError: the folder is no run folder, or its weights do not belong to the present data, features or keys.

    Example:
        >>> import os, tempfile
        >>> from recbole_sda.engine.experiment import run
        >>> folder = tempfile.TemporaryDirectory()
        >>> os.makedirs(f"{folder.name}/toy")
        >>> with open(f"{folder.name}/toy/toy.inter", "w") as file:
        ...     rows = [f"u{u}\\ti{(3 * u + t) % 9}\\t{t}" for u in range(9) for t in range(5)]
        ...     print("user_id:token\\titem_id:token\\ttimestamp:float", *rows, sep="\\n", file=file)
        >>> keys = {"data_path": folder.name, "runs_path": f"{folder.name}/runs", "epochs": 1, "use_gpu": False}
        >>> result = run("BPR", "toy", overrides={**keys, "topk": [5], "valid_metric": "NDCG@5"})
        >>> trained = load(result["run_dir"])
        >>> metrics = trained.trainer.evaluate(trained.data.test, load_best_model=False)
        >>> float(metrics["hit@5"]) == result["test"]["hit@5"]
        True
        >>> folder.cleanup()
    """
    if (Path(run_dir) / CONFIG).is_file() and not (Path(run_dir) / BEST).is_file():
        raise InputError(f"{run_dir} has no trained weights yet ({BEST}); --resume={run_dir} trains it")
    run = open_run(run_dir, overrides)
    state = run.trainer.load_weights(run.run_dir / BEST)
    run.trainer.best_epoch = state["epoch"]
    run.trainer.eval_collector.data_collect(run.data.train)
    run.model.eval()
    return run
