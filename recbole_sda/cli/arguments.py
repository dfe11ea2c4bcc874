"""Command lines: options and arguments without a value are refused in one place, for all commands."""

import argparse
import sys
from typing import Any, Collection, Optional, Sequence

from recbole_sda.errors import InputError


def check_value(key: str, value: str, empty_texts: Collection[str] = ()) -> str:
    """Return the value of ``--key=value``; refuse one without characters, which would be the present folder, or no choice at all.

    Args:
        key: the key.
        value: as given.
        empty_texts: keys with texts that can be empty.

    Raises:
        InputError: the value is empty.

    Example:
        >>> check_value("run_dir", "")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: --run_dir has no value: expected --run_dir=value
    """
    if not value.strip() and key not in empty_texts:
        raise InputError(f"--{key} has no value: expected --{key}=value")
    return value


class ArgumentParser(argparse.ArgumentParser):
    """A parser that refuses empty options and arguments, as of a shell variable that is not set: ``--out "$OUT"``."""

    def parse_known_args(self, args: Optional[Sequence[str]] = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse the words of a command line; an empty one ends the process with an error that names its option."""
        words = list(sys.argv[1:] if args is None else args)
        for before, word in zip(["", *words], words):
            option = word.startswith("--") and word.endswith("=") and word.count("=") == 1
            if option or not word.strip():
                name = word[:-1] if option else before if before.startswith("-") else "an argument"
                self.error(f"{name} is empty: a value is needed")
        return super().parse_known_args(words, namespace)
