"""Everything that is changed in RecBole and in the libraries below it.

``import recbole_sda`` installs an import hook (:func:`install`), which patches RecBole's modules when they are imported.
Changes that hold only for a moment are context managers of :mod:`recbole_sda.recbole_patches.scoped`.
"""

from typing import Dict, Sequence

from recbole_sda.recbole_patches.import_hook import ImportHook

_HERE = "recbole_sda.recbole_patches.libraries"
_PATCHES: Dict[str, Sequence[str]] = {
    "recbole": [f"{_HERE}:dok_update"],
    "recbole.config.configurator": [f"{_HERE}:numpy_names"],
    "recbole.trainer.trainer": [f"{_HERE}:pickled_checkpoints"],
    "recbole.model.sequential_recommender.sine": [f"{_HERE}:anomaly_detection_unchanged"],
}


def install(more: Dict[str, Sequence[str]]) -> None:
    """Install the import hook with the patches of this folder and ``more``, module -> patches as ``"module:function"``."""
    names = {*_PATCHES, *more}
    ImportHook({name: [*_PATCHES.get(name, ()), *more.get(name, ())] for name in names}).install()
