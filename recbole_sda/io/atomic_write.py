"""Writing files: a reader finds the old content or the new one, never a part; errors of the disk name the file.

A new file is flushed to the disk before it takes the old one's place. A line that is appended is flushed to the system, so that
it survives the end of the process.
"""

import errno
import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Iterable, Iterator

from safetensors import SafetensorError

from recbole_sda.errors import InputError

UMASK = os.umask(0o077)
os.umask(UMASK)  # the only way to read it is to set it
# In messages of libraries that report a disk's error as another kind of error.
FULL_DISK = (
    "PytorchStreamWriter failed",
    "unexpected pos",
    "iostream error",
    "file write failed",
    "No space left on device",
    "requested and",  # numpy: "... bytes requested and ... written"
)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Context manager in which a file is written: errors of the disk are OSErrors that name ``path``.

    torch and safetensors report a full disk as a RuntimeError and a SafetensorError, numpy as an OSError without a number, and
    writing to an open file does not name it.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or (errno.ENOSPC if any(text in str(error) for text in FULL_DISK) else None)
        if number is None or (error.filename and not _is_draft(str(error.filename), path)):  # of another file
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    except (RuntimeError, SafetensorError) as error:
        if not any(text in str(error) for text in FULL_DISK):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def _is_draft(name: str, path: Path) -> bool:
    return name == str(path) or Path(name).name.startswith(f".{path.name}.")  # pictures have .NAME.part


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it replaces ``path`` atomically, on an error it is removed.

    Raises:
        InputError: ``path`` is a folder, a pipe or a device, which a file must not replace.
        OSError: the file cannot be written; it names ``path``.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} exists already and is no regular file: choose another name")
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with named_errors(path):
        try:
            yield draft
            use_default_permissions(draft)
            flush_to_disk(draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def remove_file_drafts(*folders: Path) -> None:
    """Remove the unfinished files that killed processes have left in folders; only where no other process writes to them."""
    for folder in folders:
        for path in folder.glob(f".*.{'[0-9a-f]' * 8}"):
            if path.is_file():
                path.unlink()


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk, where it survives a power failure."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically, with line breaks as they are."""
    write_lines(path, [text])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write strings to a UTF-8 file atomically. They end with their own line breaks, which are written as they are."""
    with atomic_write(path) as draft, open(draft, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def append_line(path: Path, line: str) -> None:
    """Append a line to a UTF-8 file of lines; it is in the file when this returns.

    A last line without its end, which an interrupted write has left, is removed first.
    """
    with named_errors(path), open(path, "ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end and _last_byte(file, end) != b"\n":
            file.truncate(_end_of_last_line(file, end))
        file.write(line.encode("utf-8") + b"\n")


def _last_byte(file: IO[bytes], end: int) -> bytes:
    file.seek(end - 1)
    return file.read(1)


def _end_of_last_line(file: IO[bytes], end: int) -> int:
    """Return the position after the last line break before ``end``."""
    file.seek(0)
    return file.read(end).rfind(b"\n") + 1


def use_default_permissions(path: Path) -> None:
    """Give a file the permissions of any new file. Some libraries (safetensors) make files that only the owner reads."""
    os.chmod(path, 0o666 & ~UMASK)
