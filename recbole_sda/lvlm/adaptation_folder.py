"""The folder of an adaptation: whether it is begun, resumable or of something else, and its lock."""

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_folder import remove_drafts
from recbole_sda.io.atomic_write import named_errors, remove_file_drafts
from recbole_sda.io.checkpoint import load_checkpoint
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.lvlm.adapters import ADAPTER, RECORD
from recbole_sda.lvlm.train_log import LOG_FILE, TENSORBOARD
from recbole_sda.machine import torchrun
from recbole_sda.tracking.trackers import IDS, WANDB

LAST, LOCK = "last.pt", ".lock"


def settings_of(out: Path) -> Dict[str, Any]:
    """Return the settings of the adaptation in a folder: of its state, which is written before its record.

    Raises:
        InputError: the folder has no state.
    """
    if not out.is_dir():
        raise InputError(f"--resume={out}: the folder does not exist")
    if not (out / LAST).is_file():
        known = "has no finished evaluation: the command that started it starts it again"
        known = known if _is_begun(out) else f"holds no state of an adaptation: {LAST} is missing"
        raise InputError(f"--resume={out}: the folder {known}")
    settings: Dict[str, Any] = load_checkpoint(out / LAST, {"record": {"settings": dict}})["record"]["settings"]
    return settings


@contextmanager
def adaptation_lock(out: Path) -> Iterator[None]:
    """Context manager in which no other command uses the folder of an adaptation, which is created.

    Raises:
        InputError: another process uses it.
    """
    if not torchrun.is_main():
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(out / LOCK, f"{out}: another process is using this folder"):
        remove_drafts(out / ADAPTER)
        remove_file_drafts(out)
        with named_errors(out):  # TensorBoard's writer names no file
            yield


def _is_begun(out: Path) -> bool:
    """Return whether a folder holds nothing, or only what an adaptation leaves that was killed before its first state was saved."""
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    return names <= {LOG_FILE, TENSORBOARD, ADAPTER, IDS, WANDB} and (ADAPTER not in names or LOG_FILE in names)


def new_folder(out: Path, overwrite: bool) -> None:
    """Empty the folder of an earlier adaptation.

    A folder that was begun, see :func:`_is_begun`, is emptied without ``overwrite``.
    """
    if not _is_begun(out):
        if not overwrite:
            raise InputError(
                f"{out} exists already: continue it with --resume={out}, choose another folder, or --overwrite=True"
            )
        if not (out / RECORD).is_file() and not (out / LAST).is_file():
            raise InputError(f"{out} is not the folder of an adaptation ({RECORD} is missing) and is not overwritten")
    for name in (LAST, RECORD, IDS):
        (out / name).unlink(missing_ok=True)
    for name in (ADAPTER, TENSORBOARD):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / LOG_FILE).unlink(missing_ok=True)  # last: until then, the folder counts as begun
