"""Lock files, for folders that several processes may use."""

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from filelock import FileLock, Timeout

from recbole_sda.errors import InputError


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Context manager that holds the lock file ``path``; it waits for the processes that hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


@contextmanager
def exclusive_lock(path: Path, message: str) -> Iterator[None]:
    """Context manager that holds the lock file ``path``.

    Raises:
        InputError: another process holds it; ``message`` is the error's text.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(message) from None
    try:
        yield
    finally:
        lock.release()
