"""Keys whose text RecBole evaluates as Python: only names that RecBole itself has are allowed."""

from typing import Any, Dict, Mapping, Tuple

from recbole_sda.model.registry import base_name, class_name
from recbole_sda.validation import check_choice

EVALUATED: Dict[str, Mapping[str, Tuple[str, ...]]] = {"KD_DAGFM": {"teacher": ("CrossNet", "CIN", "CINComp")}}


def check_code_keys(model: str, values: Dict[str, Any]) -> None:
    """Refuse a key that RecBole would evaluate as Python, unless it is one of the names that RecBole documents.

    Raises:
        InputError: the value is another one.
    """
    for key, allowed in EVALUATED.get(class_name(base_name(model)), {}).items():
        check_choice(key, values.get(key), allowed)
