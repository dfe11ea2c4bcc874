"""Prices as numbers."""

import math
import re
from typing import Any, Optional

from recbole_sda.io.ids import is_missing

# The first number, after a currency or a few words as in "from $3"; never inside a style sheet or after a minus
PRICE = re.compile(r"[^\d{}#;:<>=_−-]{0,20}(\d[\d.,]*)")
NONE = ("", "none", "null", "nan", "n/a", "-", "—", "–")


def price_of(value: Any) -> Optional[float]:
    """Return the first number of a price such as ``$1,299.00 - $1,500.00``, ``from 3`` or ``1.299,00 €``; None where there is none.

    If both separators occur, the last one is the decimal one. A comma alone is decimal before one or two digits; a dot
    alone is decimal if it occurs once.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and value >= 0 else None
    match = PRICE.match(value.strip()) if isinstance(value, str) else None
    return _number(match.group(1).rstrip(".,")) if match else None


def is_no_price(value: Any) -> bool:
    """Return whether a value means that there is no price, so that none is expected of :func:`price_of`."""
    return is_missing(value) or (isinstance(value, str) and value.strip().lower() in NONE)


def _number(text: str) -> float:
    comma, dot = text.rfind(","), text.rfind(".")
    decimal = max(comma, dot)
    if dot < 0 and (text.count(",") > 1 or len(text) - comma > 3) or comma < 0 and text.count(".") > 1:
        decimal = -1  # all of them separate thousands
    integer, fraction = (text, "0") if decimal < 0 else (text[:decimal], text[decimal + 1 :])
    return float(f"{re.sub('[.,]', '', integer)}.{fraction}")
