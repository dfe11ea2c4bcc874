"""One process at a time: runs and searches that other processes may be at."""

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from filelock import FileLock, Timeout

from recbole_sda.errors import InputError


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Inside, this process holds the lock file ``path``, after those that hold it now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


@contextmanager
def exclusive_lock(path: Path, message: str) -> Iterator[None]:
    """Inside, this process holds the lock file ``path``; where another one does, an InputError says ``message``."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(message) from None
    try:
        yield
    finally:
        lock.release()
