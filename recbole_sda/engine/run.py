"""A run: configuration, data, model and trainer, made new or opened from its folder."""

import logging
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence

import torch

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import Data, choose_dataset, ensure_sample, load_data
from recbole_sda.engine.run_folder import CONFIG
from recbole_sda.engine.trainer import RunTrainer, identity_of, make_trainer
from recbole_sda.errors import InputError
from recbole_sda.features.store import store_path
from recbole_sda.io.checkpoint import BEST
from recbole_sda.io.yaml import read_yaml
from recbole_sda.machine import torchrun
from recbole_sda.machine.memory import reset_peak
from recbole_sda.model.activation import use_fused_gelu
from recbole_sda.model.propagation import use_fast_products
from recbole_sda.model.registry import model_class, reads_features

from recbole.utils import init_seed  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

logger = logging.getLogger(__name__)


class Run(NamedTuple):
    """A run that can go on: its configuration, data, model and trainer."""

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
    """Return the configuration of a run; a supported data set that is not prepared gives way to its miniature."""
    model_class(model)  # a wrong name is reported before anything is made
    config = RunConfig(model, dataset, config_files, overrides, source)
    data_path = config.resolved["data_path"]
    chosen = choose_dataset(dataset, data_path)
    if chosen.endswith(SAMPLE_SUFFIX):
        torchrun.run_on_main_process(lambda: ensure_sample(chosen, data_path))
    # Read again: a data set's own file, and the columns of its interaction file, take part in the configuration.
    config = RunConfig(model, chosen, config_files, overrides, source)
    if (
        reads_features(model) and config["features"] is None
    ):  # by name, so that another store changes nothing of this run
        config["features"] = config.resolved["features"] = store_path(config["data_path"]).name
    return config


def build(config: RunConfig, run_dir: Path, with_test: bool = True) -> Run:
    """Load data, model and trainer of a configuration; ``with_test`` False leaves the test part out of what is kept."""
    if config["threads"]:
        torch.set_num_threads(int(config["threads"]))
    if config.ignored_keys:
        logger.warning("not read by %s: %s", config["model"], ", ".join(sorted(set(config.ignored_keys))))
    if config["device"].type == "cuda":
        torch.cuda.set_device(config["device"])  # for what RecBole's models put on "cuda" without a number
    reset_peak(config["device"])
    init_seed(config["seed"], config["reproducibility"])
    (run_dir / BEST).parent.mkdir(parents=True, exist_ok=True)  # RecBole's way fails when two processes are at it
    config["checkpoint_dir"] = str(run_dir / BEST.parent)
    data = load_data(config, with_test)
    init_seed(config["seed"] + torchrun.rank(), config["reproducibility"])
    model = _model(config, data).to(config["device"])
    use_fused_gelu(model)
    use_fast_products(model)
    dataset = data.dataset
    trainer = make_trainer(config, model, run_dir, identity_of(config, data.train._dataset, model))
    logger.info(
        "%s on %s: %d users, %d items, %d parameters, %s",
        config["model"], config["dataset"], dataset.user_num - 1, dataset.item_num - 1,
        sum(p.numel() for p in model.parameters() if p.requires_grad), config["device"],
    )  # fmt: skip
    return Run(config, data, model, trainer, run_dir)


def _model(config: RunConfig, data: Data) -> torch.nn.Module:
    """Make the model; what a key's value makes impossible is an InputError."""
    try:
        return model_class(config["model"])(config, data.train._dataset)
    except InputError:
        raise
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{config['model']} cannot be made with the values of its keys ({reason})") from error


def settings_of(run_dir: Path) -> Dict[str, Any]:
    """Return the configuration that a run folder was made with."""
    if not (run_dir / CONFIG).is_file():
        raise InputError(f"{run_dir} is not a run folder: {CONFIG} is missing")
    return read_yaml(run_dir / CONFIG)


def open_run(run_dir, overrides: Optional[Dict[str, Any]] = None) -> Run:
    """Open a run folder: its configuration, data, model and trainer, before any weights are loaded.

    Args:
        run_dir: the run folder.
        overrides: keys that win over the run's configuration.
    """
    run_dir = Path(run_dir)
    values = settings_of(run_dir)
    dataset = values["dataset"]
    if choose_dataset(dataset, values["data_path"]) != dataset:
        raise InputError(f"{run_dir} was made on {dataset}, which is no longer in {values['data_path']}")
    if dataset.endswith(SAMPLE_SUFFIX) and torchrun.is_main():
        ensure_sample(dataset, values["data_path"])
    config = RunConfig(values["model"], dataset, [str(run_dir / CONFIG)], overrides)
    return build(config, run_dir)


def load(run_dir, overrides: Optional[Dict[str, Any]] = None) -> Run:
    """Open a run folder with the weights of its best epoch, ready for ``run.trainer.evaluate`` or ``run.model``."""
    run = open_run(run_dir, overrides)
    state = run.trainer.load_weights(run.run_dir / BEST)
    run.trainer.best_epoch = state["epoch"]
    run.trainer.eval_collector.data_collect(run.data.train)
    run.model.eval()
    return run
