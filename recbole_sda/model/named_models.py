"""Users' own model classes that a file names: they are Python code, and run only if the user names them too.

A configuration file, a plan of a comparison or a run folder may come from somebody else. A class of a user's own module is taken
from such a file only if its module is imported already, or if :func:`name_user_models` has named the class.
"""

import sys
from typing import Any, Iterable, List, Set

from recbole_sda.errors import InputError
from recbole_sda.model.registry import base_name, is_user_model

KEY = "user_models"  # of the command line

_named: Set[str] = set()


def name_user_models(models: Iterable[str]) -> None:
    """Allow classes, as ``mypackage.module:MyModel``, wherever a file names them, for the rest of the process."""
    _named.update(base_name(str(model)) for model in models)


def named_user_models() -> List[str]:
    """Return the classes that :func:`name_user_models` has named."""
    return sorted(_named)


def check_named(model: Any, source: str) -> None:
    """Refuse a user's own class that only a file names. Names of other models pass.

    Args:
        model: name of a model, from a file.
        source: the file or folder, for the message.

    Raises:
        InputError: neither is the class named, nor its module imported.

    Example:
        >>> check_named("SASRec_SDA", "a.yaml")
    """
    base = base_name(str(model))
    if is_user_model(base) and base not in _named and base.rpartition(":")[0] not in sys.modules:
        raise InputError(
            f"{source}: model {base} is Python code outside this package; if you trust it, name it on the command line: "
            f"--{KEY}={base}"
        )
