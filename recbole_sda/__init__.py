"""Recommendation with large vision-language models: SDA as an extension of RecBole (arXiv 2512.06883).

SDA adapts a large vision-language model to a catalogue (MoDA, modality-gated low-rank experts, trained with CMSA, cross-modal
structural alignment) and uses its image and text embeddings in recommenders. Everything listed in ``__all__`` is imported when it
is first used, so that ``import recbole_sda`` itself is cheap. It also installs a hook through which RecBole's own functions, such
as ``recbole.utils.get_model`` and ``recbole.quick_start.run_recbole``, know this package's models.

Example:
    >>> import recbole_sda
    >>> recbole_sda.get_model("SASRec_SDA")
    <class 'recbole_sda.models.SASRec_SDA'>
"""

from importlib import import_module
from typing import Any, List

from recbole_sda.recbole_patches import install
from recbole_sda.recbole_plugin import PATCHES

__version__ = "0.2.0"

# Public name -> the module that defines it, and its name there. __init__.pyi tells the same to type checkers.
_PUBLIC = {
    "run": "engine.experiment:run",
    "resume": "engine.experiment:resume",
    "evaluate": "engine.experiment:evaluate",
    "load": "engine.run:load",
    "Run": "engine.run:Run",
    "get_model": "model.registry:model_class",
    "list_models": "model.registry:list_models",
    "ModalityExperts": "layers.low_rank:ModalityExperts",
    "ModalityGate": "layers.low_rank:ModalityGate",
    "MoDAItemEncoder": "layers.item_encoder:MoDAItemEncoder",
    "EncodedItemEmbedding": "layers.item_embedding:EncodedItemEmbedding",
    "CMSALoss": "losses.cmsa:CMSALoss",
    "InfoNCELoss": "losses.infonce:InfoNCELoss",
    "multimodal_cmsa": "losses.cmsa:multimodal_cmsa",
    "FeatureStore": "features.store:FeatureStore",
    "write_store": "features.store:write_store",
    "find_store": "features.store:find_store",
    "Recommender": "recommend.recommender:Recommender",
    "compare": "comparison.compare:compare",
    "InputError": "errors:InputError",
}
__all__ = ["__version__", "lvlm", "models", *_PUBLIC]

install(PATCHES)


def __getattr__(name: str) -> Any:
    if name in ("lvlm", "models"):
        return import_module(f"recbole_sda.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'recbole_sda' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(import_module(f"recbole_sda.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(__all__)
