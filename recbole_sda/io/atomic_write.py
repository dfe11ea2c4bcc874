"""Writing files atomically: a reader finds the old content or the new one, never a part."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Iterable, Iterator

UMASK = os.umask(0o077)
os.umask(UMASK)  # the only way to read it is to set it


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it replaces ``path`` atomically, on an error it is removed."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield draft
        use_default_permissions(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write strings to a UTF-8 file atomically. They end with their own line breaks, which are written as they are."""
    with atomic_write(path) as draft, open(draft, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def use_default_permissions(path: Path) -> None:
    """Give a file the permissions of any new file. Some libraries (safetensors) make files that only the owner reads."""
    os.chmod(path, 0o666 & ~UMASK)
