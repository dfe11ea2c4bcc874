"""The keys ``track`` and ``track_options``: which trackers a run reports to, and where its record goes."""

import importlib.util
import re
from typing import Any, Dict, List, NamedTuple

from recbole_sda.errors import InputError, nearest

TRACK, OPTIONS = "track", "track_options"
KEYS = (TRACK, OPTIONS)
PROJECT = "recbole_sda"  # where neither an option nor the library's own variable names one
# Option -> what it is.
OPTION_NAMES = {
    "project": "project of W&B and Trackio",
    "experiment": "experiment of MLflow",
    "run_name": "name of the run",
    "group": "group of runs",
    "tracking_uri": "server or database of MLflow",
}


class Package(NamedTuple):
    """The library of a tracker: the module to import, and the extra of this package that installs it."""

    module: str
    extra: str


TRACKERS = {
    "mlflow": Package("mlflow", "mlflow"),
    "wandb": Package("wandb", "wandb"),
    "trackio": Package("trackio", "trackio"),
}


def check_trackers(value: Any) -> List[str]:
    """Return the trackers that the key ``track`` names; one name is a list of one, an empty value none.

    Raises:
        InputError: a name is unknown or is given twice, or its library is not installed.

    Example:
        >>> check_trackers(None)
        []
        >>> check_trackers("mlfow")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: track='mlfow': allowed are mlflow, wandb, trackio. Did you mean 'mlflow'?
    """
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, (list, tuple)):
        raise InputError(f"{TRACK}={value!r}: expected a list of {', '.join(TRACKERS)}, as [mlflow]")
    for position, name in enumerate(names):
        if not isinstance(name, str) or name not in TRACKERS:
            raise InputError(f"{TRACK}={name!r}: allowed are {', '.join(TRACKERS)}.{nearest(str(name), TRACKERS)}")
        if name in names[:position]:
            raise InputError(f"{TRACK}={list(names)}: {name} is given twice")
        package = TRACKERS[name]
        if importlib.util.find_spec(package.module) is None:
            raise InputError(
                f"{TRACK}={name}: {package.module} is not installed: pip install 'recbole-sda[{package.extra}]'"
            )
    return list(names)


def check_options(value: Any) -> Dict[str, str]:
    """Return the options of the key ``track_options``, each a text.

    Raises:
        InputError: an option is unknown, is no text, or holds a password, which a run folder must not.

    Example:
        >>> check_options({"project": "shop"})
        {'project': 'shop'}
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{OPTIONS}={value!r}: expected options with values, as {{project: shop}}")
    for name, text in value.items():
        if name not in OPTION_NAMES:
            raise InputError(
                f"{OPTIONS}: unknown option {name!r}; allowed are {', '.join(OPTION_NAMES)}.{nearest(name, OPTION_NAMES)}"
            )
        if not isinstance(text, (str, int)) or isinstance(text, bool) or not str(text).strip():
            raise InputError(f"{OPTIONS}: {name}={text!r}: expected a text, the {OPTION_NAMES[name]}")
        if re.search(r"//[^/@\s]+@", str(text)):
            raise InputError(
                f"{OPTIONS}: {name} holds a user or password, which would be stored in the run folder; MLflow reads "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
    return {name: str(text) for name, text in value.items()}
