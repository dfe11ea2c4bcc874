"""The option ``--user_models`` of all commands that run models."""

from typing import Any, Dict, Optional

from recbole_sda.errors import InputError


def allow_user_models(keys: Dict[str, Any], model: Optional[str] = None) -> None:
    """Take the option ``user_models`` out of ``keys`` and allow its classes, and ``model``, wherever a file names them.

    Raises:
        InputError: the option is neither a name nor a list of names.
    """
    from recbole_sda.model.named_models import KEY, name_user_models

    value = keys.pop(KEY, None)
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) and ":" in name for name in names):
        raise InputError(
            f"--{KEY}={value!r}: expected classes, as shop.models:Mine or [shop.models:Mine, shop.models:Other]"
        )
    name_user_models([*names, *([model] if model else [])])
