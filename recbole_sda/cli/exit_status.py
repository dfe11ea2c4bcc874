"""How every command ends: exit status, one line for errors of the user or the machine, and the name it was called by."""

import errno
import os
import sys
import warnings
from typing import Callable

from recbole_sda.errors import InputError

# Errors of the file system that are not the program's fault.
FILE_ERRORS = {
    errno.EACCES,
    errno.EPERM,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
}


def program() -> str:
    """Return how the command line was started: ``python -m recbole_sda`` or ``recbole-sda``."""
    return "python -m recbole_sda" if os.path.basename(sys.argv[0]) in ("__main__.py", "-m") else "recbole-sda"


def run_command(action: Callable[[], None]) -> int:
    """Run a command and return its exit status.

    0: done. 2: wrong input, or a folder that cannot be written or a full disk, named in one line without a traceback. 130: Ctrl-C.
    141: the reader of the output, such as ``| head``, ended first.
    """
    silence_recbole()
    try:
        action()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes as it ends
        return 141
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not error.filename or error.errno not in FILE_ERRORS:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print(f"interrupted; {interruption}" if interruption.args else "interrupted", file=sys.stderr)
        return 130
    return 0


def silence_recbole() -> None:
    """Hide warnings about calls inside RecBole 1.2 that users cannot change. Only commands do this, never an import.

    Ends with a RecBole that does not use ``torch.cuda.amp.GradScaler``, chained assignment and ``Series.append``.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(recbole|torch)\.")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", message=".*torch.sparse.SparseTensor.*|.*GradScaler.*CUDA is not available.*")
    warnings.filterwarnings("ignore", message=".*Sparse invariant checks.*|.*should be avoided.*", category=UserWarning)
