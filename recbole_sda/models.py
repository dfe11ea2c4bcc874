"""The model classes by name: ``from recbole_sda.models import SASRec_SDA``.

Each class is made when it is first asked for, and is the same object for the life of the process, so it can be pickled and
compared by ``isinstance``.

Example:
    >>> from recbole_sda.models import BPR_SDA
    >>> import pickle
    >>> pickle.loads(pickle.dumps(BPR_SDA)) is BPR_SDA
    True
"""

from typing import Any, List

from recbole_sda.errors import InputError
from recbole_sda.model.registry import list_models, model_class, model_of_attribute


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return model_class(model_of_attribute(name))
    except InputError as error:
        raise AttributeError(str(error)) from error


def __dir__() -> List[str]:
    return list_models()
