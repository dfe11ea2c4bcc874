"""The best epoch of a run as a checkpoint in RecBole's form, for RecBole's own functions."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Union

import torch

from recbole_sda.config.run_config import RunConfig
from recbole_sda.engine.run import load
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.model.model_table import ENSEMBLE
from recbole_sda.model.settings import BASE_VALUES

from recbole.config import Config  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

# Keys of this package that mean nothing to RecBole, or that it would read another way.
LEFT_OUT = {"run_dir", "runs_path", "preset", "threads", "data_path", "sparse_updates", "model", "dataset"}


def export_checkpoint(run_dir: Union[str, Path], path: Union[str, Path]) -> Path:
    """Write the best epoch of a run as RecBole writes its checkpoints: a pickled file with ``config`` and ``state_dict``.

    ``recbole.quick_start.load_data_and_model`` reads it in a process that has imported ``recbole_sda`` before: the package's
    models come from there, and so does what RecBole needs on torch 2.6 and later.

    Args:
        run_dir: the run folder.
        path: the file, usually with the suffix ``.pth``.

    Returns:
        The file.

    Raises:
        InputError: the folder is no run folder, or the file exists, or the run is an ensemble, which reads other runs.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"--out={path} exists already; choose another file")
    run = load(run_dir, {"use_gpu": False})
    if run.config["model"] == ENSEMBLE:
        raise InputError(f"{run_dir} is an ensemble, which RecBole has no form for")
    model: Any = run.model
    state = {
        "config": recbole_config(run.config),
        "epoch": run.trainer.best_epoch,
        "cur_step": 0,
        "best_valid_score": run.trainer.best_valid_score,
        "state_dict": model.state_dict(),
        "other_parameter": model.other_parameter(),
        "optimizer": {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        torch.save(state, draft, pickle_protocol=4)
    return path


def recbole_config(config: RunConfig) -> Config:
    """Return RecBole's own configuration with the values of a run; ``data_path`` is absolute."""
    values: Dict[str, Any] = {key: value for key, value in config.resolved.items() if key not in LEFT_OUT}
    # Where the base model was kept, they are not those that were given.
    values.update({key: config[key] for key in BASE_VALUES if key in values})
    values["data_path"] = str(Path(config.resolved["data_path"]).resolve())
    values["gpu_id"] = ""
    with _no_arguments():  # which RecBole's Config reads
        return Config(config["model"], config["dataset"], config_dict=values)


@contextmanager
def _no_arguments() -> Iterator[None]:
    given = sys.argv
    sys.argv = given[:1]
    try:
        yield
    finally:
        sys.argv = given
