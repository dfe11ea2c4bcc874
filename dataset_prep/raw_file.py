"""Raw files as bytes: plain or gzipped, in UTF-8, line by line."""

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, Iterator, Union

from dataset_prep.problems import Problems
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import named_errors
from recbole_sda.io.regular_file import regular_file

GZIP = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
MAX_LINE = 1 << 26  # bytes of one line: 64 MiB; a longer one is a file of another kind, or never ends

PathLike = Union[str, Path]


def open_bytes(path: PathLike) -> BinaryIO:
    """Open a file for reading bytes; a gzipped one is decompressed, whatever its name.

    Raises:
        InputError: the file does not exist, is no regular file, or is in UTF-16.
    """
    path = regular_file(path)
    with named_errors(path), open(path, "rb") as file:
        start = file.read(2)
    if start in UTF_16:
        raise InputError(f"{path} is in UTF-16; expected UTF-8")
    return io.BufferedReader(gzip.open(path, "rb"), 1 << 20) if start == GZIP else open(path, "rb")


def lines_of(file: BinaryIO, path: PathLike) -> Iterator[bytes]:
    """Yield the lines of a file with their ends.

    Raises:
        InputError: a line has more than 64 MiB, or a gzipped file is truncated or damaged; the message names ``path``.
    """
    number = 0
    while True:
        try:
            line = file.readline(MAX_LINE + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path} is truncated after line {number} ({error}); fetch it again") from None
        if not line:
            return
        number += 1
        if len(line) > MAX_LINE:
            raise InputError(f"{path}, line {number} has more than {MAX_LINE:,} bytes")
        yield line


def decoded(raw: bytes, path: PathLike, number: int, problems: Problems, errors: str = "replace") -> str:
    """Return a line as text; bytes that are not UTF-8 are counted and replaced as ``errors`` names it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        problems.add("not UTF-8", f"{path}:{number}", raw[:100].decode("utf-8", errors))
        return raw.decode("utf-8", errors)
