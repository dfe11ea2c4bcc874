"""Files as input: regular files of a bounded size, and text in UTF-8. Folders, pipes and devices are refused."""

import os
import stat
from pathlib import Path
from typing import Optional, Union

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import named_errors

PathLike = Union[str, Path]
TEXT_LIMIT = 1 << 28  # bytes of a text file that is read at once: 256 MiB


def regular_file(path: PathLike, what: str = "file", limit: Optional[int] = None) -> Path:
    """Return the path of a regular file that can be read; links are followed.

    Args:
        path: of the file.
        what: the kind of file, for messages: ``{what} {path} does not exist``.
        limit: largest size in bytes; None: no limit.

    Raises:
        InputError: nothing is there, it is no regular file, it cannot be read, or it is larger than ``limit``.

    Example:
        >>> regular_file("/dev/zero")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: /dev/zero is a device: expected a regular file
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{what} {_shown(path)} does not exist") from None
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long, or one with a NUL
        raise InputError(
            f"{what} {_shown(path)} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe" if stat.S_ISFIFO(found.st_mode) else "a device"
        raise InputError(f"{_shown(path)} is {kind}: expected a regular file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{what} {_shown(path)} cannot be read (permission denied)")
    if limit is not None and found.st_size > limit:
        raise InputError(f"{_shown(path)} has {found.st_size:,} bytes: expected at most {limit:,}")
    return Path(path)


def read_text(path: PathLike, what: str = "file", limit: Optional[int] = TEXT_LIMIT) -> str:
    """Return the content of a text file in UTF-8, without a byte order mark. Ends of lines stay as they are.

    Raises:
        InputError: see :func:`regular_file`; or the content is not UTF-8.
    """
    with named_errors(Path(path)):
        content = regular_file(path, what, limit).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{_shown(path)} is not a text file in UTF-8: {error}") from None


def _shown(path: PathLike) -> str:
    text = str(path)
    return (text if len(text) <= 200 else f"{text[:200]}...").replace("\0", "\\0")
