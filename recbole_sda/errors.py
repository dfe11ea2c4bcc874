"""The one error that a user's input can cause, and the wording for names that do not exist."""

import re
from difflib import get_close_matches
from typing import Iterable

# In the messages of torch, for memory of the machine and of a GPU.
NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


class InputError(ValueError):
    """Something given by the user cannot be used; the message names it, the value found and what is allowed.

    Command lines print the message on one line and exit with status 2, without a traceback.

    Example:
        >>> from recbole_sda import get_model
        >>> try:
        ...     get_model("SASRek_SDA")
        ... except InputError as error:
        ...     print(error)
        no model named 'SASRek_SDA'; --help lists them. Did you mean 'SASRec_SDA'?
    """


def file_error(error: OSError) -> str:
    """Return an error of the file system as one line: the path, where it has one, and what happened.

    Example:
        >>> file_error(OSError(28, "No space left on device", "run/best.pt"))
        'run/best.pt: No space left on device'
    """
    is_in_the_way = isinstance(error, FileExistsError)
    reason = "exists already, and is no folder" if is_in_the_way else error.strerror or one_line(error)
    name = error.filename.decode("utf-8", "replace") if isinstance(error.filename, bytes) else str(error.filename or "")
    return ": ".join(filter(None, (name if len(name) <= 200 else f"{name[:200]}...", reason)))


class MissingFeatures(InputError):
    """A data set has no feature store yet."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name closest to ``name``, or an empty string.

    Example:
        >>> nearest("Sports", ["Amazon_Sports", "Amazon_Toys"])
        " Did you mean 'Amazon_Sports'?"
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    match = get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[match[0]]}'?" if match else ""


def one_line(error: BaseException, limit: int = 200) -> str:
    """Return the text of a library's error on one line, cut to ``limit``; the name of its kind where it has no text.

    Example:
        >>> one_line(ValueError("wrong\\n  value")), one_line(MemoryError())
        ('wrong value', 'MemoryError')
    """
    return " ".join(str(error).split())[:limit] or type(error).__name__


def plain_message(error: BaseException, limit: int = 300) -> str:
    r"""Return an error of a library as one line: its kind where the text alone says little, without colours, cut to ``limit``.

    Example:
        >>> plain_message(ValueError("\x1b[1;31mwrong\x1b[0m\n  value"))
        'wrong value'
        >>> plain_message(KeyError("label"))
        "KeyError: 'label'"
    """
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())
    text = text if len(text) <= limit else f"{text[:limit]} ..."
    return (
        text
        if isinstance(error, (ValueError, NotImplementedError, RuntimeError))
        else f"{type(error).__name__}: {text}"
    )
