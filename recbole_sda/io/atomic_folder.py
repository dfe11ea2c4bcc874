"""Folders that are written as a whole: a reader finds the old folder or the new one.

Where the system can exchange two names in one step (Linux), it does. Elsewhere, the old folder is renamed first and the new one
second; :func:`restore_folder` undoes the first step where a process was killed between the two.
"""

import ctypes
import glob
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import flush_to_disk, named_errors
from recbole_sda.io.locks import exclusive_lock

REPLACED = ".replaced"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside ``path`` to write to; on success it replaces ``path``, on an error it is removed.

    Raises:
        OSError: a file cannot be written; it names ``path``.
    """
    draft = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    with named_errors(path):
        restore_folder(path)
        draft.mkdir(parents=True)
        try:
            yield draft
            for file in draft.rglob("*"):
                if file.is_file():
                    flush_to_disk(file)
            _put_in_place(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path, path: Path) -> None:
    if not path.exists():
        os.rename(draft, path)
    elif not _exchange(draft, path):
        os.rename(path, _replaced(path))
        os.rename(draft, path)
        shutil.rmtree(_replaced(path))


def _replaced(path: Path) -> Path:
    return path.with_name(f".{path.name}{REPLACED}")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    return bool(rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0)


def restore_folder(path: Path) -> None:
    """Put the old folder back where a process was killed before the new one was in place; else do nothing."""
    if not path.name:  # the present folder, or the root
        return
    old = _replaced(path)
    if not old.is_dir():
        return
    if path.exists():  # the process was killed after the new one was in place
        shutil.rmtree(old)
    else:
        os.rename(old, path)


def restore_folders(parent: Path) -> None:
    """Apply :func:`restore_folder` to all folders in ``parent``."""
    for old in list(parent.glob(f".*{REPLACED}")):
        restore_folder(parent / old.name[1 : -len(REPLACED)])


@contextmanager
def folder_lock(path: Union[str, Path]) -> Iterator[None]:
    """Context manager in which no other process makes the folder at ``path``; drafts of killed ones are removed.

    Raises:
        InputError: the path has no name, or another process is making it.
    """
    path = Path(path)
    if not path.name:
        raise InputError(f"--out={path}: expected the name of a new folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(path.with_name(f".{path.name}.lock"), f"{path}: another process is writing this folder"):
        remove_drafts(path)
        yield


def remove_drafts(path: Path) -> None:
    """Remove the unfinished folders that killed processes have left beside ``path``; only where no other process writes it."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}"):
        if draft.is_dir():
            shutil.rmtree(draft)
