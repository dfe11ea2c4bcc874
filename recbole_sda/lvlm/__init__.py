"""The LVLM stage: adapt a vision-language model to the items of a catalogue, extract item vectors, export adapters.

The public names are imported at their first use, so ``import recbole_sda.lvlm`` needs neither torch nor transformers.
"""

from importlib import import_module
from typing import Any, List

_MODULES = {
    "MoDAConfig": "recbole_sda.lvlm.moda",
    "ModelFamily": "recbole_sda.lvlm.families",
    "adapt": "recbole_sda.lvlm.api",
    "extract": "recbole_sda.lvlm.api",
    "register_family": "recbole_sda.lvlm.families",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> List[str]:
    return sorted([*globals(), *_MODULES])
