"""Log messages: coloured in a terminal, plain in files."""

import logging
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

import colorlog

PACKAGE = __name__.partition(".")[0]
ANSI_ESCAPE = re.compile(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])")


class PlainFormatter(logging.Formatter):
    """Formatter that removes the colour codes which RecBole puts into its messages."""

    def format(self, record: logging.LogRecord) -> str:
        return ANSI_ESCAPE.sub("", super().format(record))


def start_logging(level: Optional[str] = None) -> None:
    """Send log messages to standard error, in colour if it is a terminal. Existing handlers of the root logger are removed.

    Args:
        level: lowest level of shown messages, such as ``"INFO"`` or ``"warning"``. An unknown name and None mean ``INFO``.
    """
    handler = colorlog.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(colorlog.ColoredFormatter("%(log_color)s%(asctime)s %(message)s", "%H:%M:%S"))
    else:
        handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(getattr(logging, str(level or "INFO").upper(), logging.INFO))


class _LogFile(logging.FileHandler):
    """A log file whose errors, such as a full disk, end the command like those of other files."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, self.baseFilename) from None
        super().handleError(record)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Context manager that also appends log messages to the file ``path``, those of this package from level INFO on."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    package = logging.getLogger(PACKAGE)
    level = package.level
    package.setLevel(min(package.getEffectiveLevel(), logging.INFO))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        package.setLevel(level)
        handler.close()
