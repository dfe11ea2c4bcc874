"""How every command ends: exit status, one line for errors of the user or the machine, and the name it was called by."""

import io
import os
import sys
import warnings
from typing import Callable

from recbole_sda.errors import NO_MEMORY, InputError, file_error


def program() -> str:
    """Return how the command line was started: ``python -m recbole_sda`` or ``recbole-sda``."""
    return "python -m recbole_sda" if os.path.basename(sys.argv[0]) in ("__main__.py", "-m") else "recbole-sda"


def run_command(action: Callable[[], None]) -> int:
    """Run a command and return its exit status.

    0: done. 2: wrong input, an error of the file system such as a full disk, or too little memory, named in one line without a
    traceback. 130: Ctrl-C.
    141: the reader of the output, such as ``| head``, ended first.
    """
    silence_recbole()
    _open_streams()
    try:
        _check_working_directory()
        action()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes as it ends
        return 141
    except InputError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(file_error(error))
    except MemoryError as error:
        return _failed(": ".join(filter(None, ("not enough memory", str(error)))))
    except UnicodeEncodeError as error:  # a path with bytes that are not UTF-8, for libraries that take texts
        return _failed(f"{error.object[:200]!r} has characters that UTF-8 lacks: choose another name")
    except RuntimeError as error:
        if str(error).startswith("Symlink loop"):  # of Path.resolve, until Python 3.13
            return _failed(str(error))
        if not any(text in str(error) for text in NO_MEMORY):
            raise
        return _failed(f"not enough memory: {str(error).strip().splitlines()[0]}")
    except KeyboardInterrupt as interruption:
        return interrupted(interruption)
    return 0


def interrupted(interruption: KeyboardInterrupt) -> int:
    """Print what Ctrl-C has ended, and how it goes on where the exception names it; return the exit status."""
    print(f"interrupted; {interruption}" if interruption.args else "interrupted", file=sys.stderr)
    return 130


def _open_streams() -> None:
    """Open closed output streams (``>&-``), before a file gets their number, and let them take all characters."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal's encoding lacks a character


def _check_working_directory() -> None:
    """Refuse to work in a folder that was removed: libraries such as MKL would end the process."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the working directory does not exist any more: change to another one") from None


def _failed(message: str) -> int:
    print(f"error: {message.strip()}", file=sys.stderr)
    return 2


def silence_recbole() -> None:
    """Hide warnings about calls inside RecBole 1.2 that users cannot change. Only commands do this, never an import.

    Ends with a RecBole that does not use ``torch.cuda.amp.GradScaler``, chained assignment and ``Series.append``.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(recbole|torch)\.")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", message=".*torch.sparse.SparseTensor.*|.*GradScaler.*CUDA is not available.*")
    warnings.filterwarnings("ignore", message=".*Sparse invariant checks.*|.*should be avoided.*", category=UserWarning)
