"""Names that become names of files and folders: of data sets, rows, modalities, views, stores."""

from typing import Any

from recbole_sda.errors import InputError

MAX_BYTES = 150  # of the 255 that file systems allow, with space for endings
FORBIDDEN = set('/\\:*?"<>|')


def safe_name(what: str, value: Any) -> str:
    """Return a name that can be that of a file or folder on every system, and that stays inside its folder.

    Args:
        what: of what it is the name, such as a key or an option, for the message.
        value: the name.

    Raises:
        InputError: it is empty, is too long, begins with a dot or a blank, ends with a blank, or has a slash, another character
            that file names cannot have, or one that cannot be printed.

    Example:
        >>> safe_name("--name", "Amazon_Sports")
        'Amazon_Sports'
        >>> safe_name("--name", "../evil")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: --name='../evil': expected a name of at most 150 bytes, without / and other characters that \
file names cannot have, that does not begin with a dot
    """
    text = value if isinstance(value, str) else ""
    fits = 0 < len(text.encode("utf-8", "replace")) <= MAX_BYTES and text.isprintable() and not FORBIDDEN & set(text)
    if not fits or text[0] in ". " or text[-1] == " ":
        raise InputError(
            f"{what}={str(value)[:80]!r}: expected a name of at most {MAX_BYTES} bytes, without / and other characters that file "
            "names cannot have, that does not begin with a dot"
        )
    return text
