"""Checks of how interactions are split: ``split`` in ``eval_args``, and ``cold_items``."""

import math
from datetime import date, datetime, timezone
from typing import Any, Dict, List

from recbole.utils import ModelType

from recbole_sda.errors import InputError

LEAVE_OUT = ("valid_and_test", "valid_only", "test_only")
GLOBAL_TIME, GIVEN = "global_time", "given"  # this package's splits; LS and RS are RecBole's
PART_COLUMN = "part"  # of an interaction file with a given split
DIVIDED_MODELS = (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.SEQUENTIAL)


def time_point(key: str, value: Any) -> float:
    """Return a point in time in seconds since 1970 (UTC), or, for a number, the number itself.

    Raises:
        InputError: it is neither a number nor a date.

    Example:
        >>> time_point("cold_items", "2014-05-01"), time_point("cold_items", 1400000000)
        (1398902400.0, 1400000000.0)
    """
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, (int, float)):
            number = float(value)
        else:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            number = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
        if not math.isfinite(number):
            raise ValueError
        return number
    except ValueError:
        raise InputError(
            f"{key}={value!r}: expected a time, as 2014-05-01, 2014-05-01T10:00:00 or a number in the data's unit"
        ) from None


def is_divided(values: Any) -> bool:
    """Return whether a run's interactions are split by this package: neither LS nor RS alone, nor benchmark files.

    Args:
        values: maps the keys of a configuration to their values.
    """
    if values["benchmark_filename"]:
        return False
    return values["cold_items"] is not None or not {"LS", "RS"} & set(values["eval_args"]["split"])


def needs_times(values: Any) -> bool:
    """Return whether the split of a run reads times."""
    cold = values["cold_items"]
    return GLOBAL_TIME in values["eval_args"]["split"] or (cold is not None and not is_share(cold))


def is_share(value: Any) -> bool:
    """Return whether a value of ``cold_items`` is a share of the items; any other is a time."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1


def _is_shares(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return all(isinstance(x, (int, float)) and not isinstance(x, bool) and x >= 0 for x in value) and any(value)


def check_split(split: Any) -> Dict[str, Any]:
    """Return the split of eval_args, with dates as text; refuse one that is not understood."""
    given: Dict[str, Any] = split if isinstance(split, dict) and len(split) == 1 else {"": None}
    kind, value = next(iter(given.items()))
    if kind == GLOBAL_TIME and isinstance(value, list) and len(value) == 2:
        texts = [as_text(point) for point in value]
        bounds: List[float] = [time_point(f"eval_args: {GLOBAL_TIME}", point) for point in texts]
        if bounds[0] > bounds[1]:
            raise InputError(f"eval_args: {GLOBAL_TIME}={texts}: validation begins after the test")
        return {GLOBAL_TIME: texts}
    known = {"RS": _is_shares(value), "LS": isinstance(value, str) and value in LEAVE_OUT}
    known |= {GLOBAL_TIME: _is_shares(value) and bool(value[0]), GIVEN: isinstance(value, str) and bool(value)}
    if not known.get(str(kind)):
        raise InputError(
            f"eval_args: split={split!r}: expected {{RS: [train, valid, test]}} with three shares that are not all 0, {{LS: ...}} "
            f"with one of {', '.join(LEAVE_OUT)}, {{{GLOBAL_TIME}: ...}} with three shares or the two times at which validation "
            f"and test begin, or {{{GIVEN}: COLUMN}} with a column of the interaction file"
        )
    return dict(given)


def as_text(value: Any) -> Any:
    """Return a date as text; any other value as it is."""
    return value.isoformat() if isinstance(value, date) else value


def check_cold_items(model_type: ModelType, values: Dict[str, Any]) -> None:
    """Refuse a wrong ``cold_items``, and splits of this package where RecBole's own code makes the parts."""
    cold = values["cold_items"] = as_text(values["cold_items"])
    if cold is not None and not is_share(cold):
        wrong = isinstance(cold, (bool, list, dict)) or (isinstance(cold, (int, float)) and cold <= 1)
        if wrong:
            raise InputError(
                f"cold_items={cold!r}: expected a share of the items above 0 and below 1, or the time from which items count as new"
            )
        time_point("cold_items", cold)
    if cold is not None and values["benchmark_filename"]:
        raise InputError(
            f"cold_items={cold!r}: the parts are given by benchmark_filename={values['benchmark_filename']}; leave one of them out"
        )
    if is_divided(values) and model_type not in DIVIDED_MODELS:
        key = f"cold_items={cold!r}" if cold is not None else f"eval_args: split={values['eval_args']['split']}"
        raise InputError(f"{key}: for general and sequential models; this one is a {model_type.name.lower()} model")
