"""The table of models: every *_SDA model, and the RecBole models that have none, with the reason.

A model enters with one line once it passes the contract suite (``tests/model/test_contract.py``).
"""

import importlib
from dataclasses import dataclass
from typing import Dict, List, Tuple

from recbole_sda.errors import InputError, nearest

SUFFIX = "_SDA"


@dataclass(frozen=True)
class BaseModelSpec:
    """A RecBole model whose item table is replaced.

    Attributes:
        family: ``sequential`` or ``general``, as RecBole's folders are named.
        item_table: attribute that holds the item table.
        sequences: what a sequential model can be trained on. ``packed``: rows with a target at each position, because
            its output at a position depends on the items up to it. ``trimmed``: RecBole's samples without the padding
            that none of a batch needs, because padding does not change its output. ``padded``: RecBole's samples.
        loss: how cross entropy over the catalogue is computed (see :mod:`recbole_sda.model.softmax_loss`).
            ``product``: from the outputs of ``forward`` and the item table. ``masked``: the same at masked positions.
            ``own``: by the model itself.
        step_items: attributes that name the fields of all items that a training step looks up; empty where a step uses
            the whole table. Only their rows are encoded.
    """

    family: str
    item_table: str = "item_embedding"
    sequences: str = "padded"
    loss: str = "own"
    step_items: Tuple[str, ...] = ()


BASE_MODELS: Dict[str, BaseModelSpec] = {
    # sequential
    "BERT4Rec": BaseModelSpec("sequential", sequences="trimmed", loss="masked"),
    "Caser": BaseModelSpec("sequential"),
    "CORE": BaseModelSpec("sequential", sequences="trimmed"),
    "FEARec": BaseModelSpec("sequential"),
    "FOSSIL": BaseModelSpec("sequential"),
    "GCSAN": BaseModelSpec("sequential", sequences="trimmed"),
    "GRU4Rec": BaseModelSpec("sequential", sequences="packed", loss="product"),
    "HRM": BaseModelSpec("sequential"),
    "LightSANs": BaseModelSpec("sequential", loss="product"),
    "NARM": BaseModelSpec("sequential", sequences="trimmed", loss="product"),
    "NextItNet": BaseModelSpec("sequential"),
    "SASRec": BaseModelSpec("sequential", sequences="packed", loss="product"),
    "SHAN": BaseModelSpec("sequential"),
    "SINE": BaseModelSpec("sequential", loss="product"),
    "SRGNN": BaseModelSpec("sequential", sequences="trimmed", loss="product"),
    "STAMP": BaseModelSpec("sequential", loss="product"),  # sums over the padding too, whose row is not zero
    "TransRec": BaseModelSpec("sequential", sequences="trimmed", step_items=("ITEM_SEQ", "POS_ITEM_ID", "NEG_ITEM_ID")),
    # general
    "BPR": BaseModelSpec("general", step_items=("ITEM_ID", "NEG_ITEM_ID")),
    "ConvNCF": BaseModelSpec("general"),
    "DGCF": BaseModelSpec("general"),
    "ENMF": BaseModelSpec("general"),
    "LightGCN": BaseModelSpec("general"),
    "NGCF": BaseModelSpec("general"),
    "SGL": BaseModelSpec("general"),
    "SimpleX": BaseModelSpec("general", item_table="item_emb"),
    "SpectralCF": BaseModelSpec("general"),
}

# Multimodal recommenders of this package, by their file in model/multimodal/; each is a model of its own and has an SDA version.
MULTIMODAL: Dict[str, str] = {
    "VBPR": "vbpr",
    "MMGCN": "mmgcn",
    "BM3": "bm3",
    "FREEDOM": "freedom",
    "MGCN": "mgcn",
    "LGMRec": "lgmrec",
    "SMORE": "smore",
    "SLMRec": "slmrec",
}

_SECOND_TABLE = "holds a second item table that the swap does not reach"
_NO_TABLE = "has no item embedding table"
_SIDE = "needs further item fields or a knowledge graph"

WITHOUT_SDA: Dict[str, str] = {
    "DIEN": _SIDE,
    "DIN": _SIDE,
    "FDSA": _SIDE,
    "FPMC": _SECOND_TABLE,
    "GRU4RecF": _SIDE,
    "GRU4RecKG": _SIDE,
    "HGN": _SECOND_TABLE,
    "KSR": _SIDE,
    "NNCF": _SECOND_TABLE,
    "NPE": _SECOND_TABLE,
    "RepeatNet": "scores items through an output matrix of its own",
    "S3Rec": "is trained in two stages by a trainer of its own",
    "SASRecF": _SIDE,
    "ADMMSLIM": _NO_TABLE,
    "CDAE": _NO_TABLE,
    "DiffRec": _NO_TABLE,
    "DMF": _NO_TABLE,
    "EASE": _NO_TABLE,
    "FISM": _SECOND_TABLE,
    "GCMC": _NO_TABLE,
    "ItemKNN": _NO_TABLE,
    "LDiffRec": _NO_TABLE,
    "LINE": _SECOND_TABLE,
    "MacridVAE": _SECOND_TABLE,
    "MultiDAE": _NO_TABLE,
    "MultiVAE": _NO_TABLE,
    "NAIS": _SECOND_TABLE,
    "NCEPLRec": _NO_TABLE,
    "NCL": "needs faiss with a GPU and a trainer of its own",
    "NeuMF": _SECOND_TABLE,
    "Pop": _NO_TABLE,
    "RaCT": "is trained in several stages by a trainer of its own",
    "Random": _NO_TABLE,
    "RecVAE": _NO_TABLE,
    "SLIMElastic": _NO_TABLE,
}


def sda_models() -> List[str]:
    """Return the names of all *_SDA models."""
    return [name + SUFFIX for name in [*BASE_MODELS, *MULTIMODAL]]


def base_name(model: str) -> str:
    """Return the RecBole model that ``model`` is or builds on: ``SASRec`` for ``SASRec_SDA`` and for ``SASRec``."""
    return model.removesuffix(SUFFIX)


def multimodal_model(name: str) -> type:
    """Return a multimodal recommender of this package by name."""
    return getattr(importlib.import_module(f"recbole_sda.model.multimodal.{MULTIMODAL[name]}"), name)


def plain_model(name: str) -> type:
    """Return a multimodal recommender or a RecBole model by name; an unknown name is an InputError."""
    return multimodal_model(name) if name in MULTIMODAL else recbole_model(name)


def recbole_model(name: str) -> type:
    """Return a RecBole model class by name; an unknown name is an InputError."""
    from recbole.utils import get_model

    from recbole_sda.recbole_patches import compat

    try:
        kind = get_model(name)
        compat.stop_anomaly_detection()
        return kind
    except (ValueError, AttributeError, ImportError) as error:
        # RecBole looks for an unknown name among the models of xgboost and lightgbm last.
        if isinstance(error, ImportError) and name.lower() == error.name:
            raise InputError(f"model {name} needs the package {error.name}, which is not installed") from None
        known = [*sda_models(), *BASE_MODELS, *MULTIMODAL, *WITHOUT_SDA]
        raise InputError(f"no model named {name!r}; --help lists them.{nearest(name, known)}") from None


def reads_features(name: str) -> bool:
    """Return whether a model of this name takes item features from a store."""
    return name.endswith(SUFFIX) or name in MULTIMODAL


def model_class(name: str) -> type:
    """Return the class of a model: RecBole's own, a multimodal one, or the *_SDA class made from the table.

    A model whose row names a ``loss`` gets a mixin of :mod:`recbole_sda.model.softmax_loss` in front.

    Raises:
        InputError: there is no such model, with the nearest name, or it has no SDA version, with the reason.
    """
    base = base_name(name)
    row = BASE_MODELS.get(base)
    if not name.endswith(SUFFIX):
        return plain_model(name) if row is None or row.loss == "own" else _with_loss(plain_model(name), row)
    if base in WITHOUT_SDA:
        raise InputError(f"{name}: there is no SDA version of {base}, which {WITHOUT_SDA[base]}")
    if base in MULTIMODAL:
        mixin = importlib.import_module("recbole_sda.model.multimodal_sda").MultimodalSDA
        return _sda_class(name, mixin, multimodal_model(base), f"{base} on adapted features")
    if base not in BASE_MODELS:
        raise InputError(f"no model named {name!r}; --help lists them.{nearest(name, sda_models())}")
    mixin = importlib.import_module("recbole_sda.model.sda").SDA
    about = f"RecBole's {base} with an encoded item embedding"
    return _sda_class(name, mixin, model_class(base), about, item_table=row.item_table, step_items=row.step_items)


def _sda_class(name: str, mixin: type, kind: type, about: str, **attributes) -> type:
    doc = f"{about} (see :class:`{mixin.__module__}.{mixin.__name__}`)."
    attributes.update(__module__=__name__, __doc__=doc, base_name=base_name(name))
    return type(name, (mixin, kind), attributes)


def _with_loss(kind: type, row: BaseModelSpec) -> type:
    mixins = importlib.import_module("recbole_sda.model.softmax_loss").MIXINS
    mixin = mixins["packed" if row.sequences == "packed" else row.loss]
    return type(kind.__name__, (mixin, kind), {"__module__": __name__, "__doc__": kind.__doc__})
