"""Hashes of files."""

import hashlib
from pathlib import Path

from recbole_sda.io.atomic_write import named_errors
from recbole_sda.io.regular_file import regular_file


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits; anything but a regular file is an InputError."""
    with named_errors(path), open(regular_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
