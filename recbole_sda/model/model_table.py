"""The table of models: RecBole's models that have an SDA version, the multimodal models, and the models without one.

A model enters with one line once it passes the contract suite (``tests/model/test_contract.py``).
"""

from dataclasses import dataclass
from typing import Dict, Tuple

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
        bias_attribute: attribute that holds a bias per item, a table or a vector; empty where there is none.
    """

    family: str
    item_table: str = "item_embedding"
    sequences: str = "padded"
    loss: str = "own"
    step_items: Tuple[str, ...] = ()
    bias_attribute: str = ""


BASE_MODELS: Dict[str, BaseModelSpec] = {
    # sequential
    "BERT4Rec": BaseModelSpec("sequential", sequences="trimmed", loss="masked", bias_attribute="output_bias"),
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
    "TransRec": BaseModelSpec(
        "sequential", sequences="trimmed", step_items=("ITEM_SEQ", "POS_ITEM_ID", "NEG_ITEM_ID"), bias_attribute="bias"
    ),
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

# Recommenders of this package that are not trained, by their file in model/neighbours/. They have no SDA version.
NEIGHBOURS: Dict[str, str] = {"SequenceKNN": "sequence_knn", "ContentKNN": "content_knn"}
NEIGHBOURS_BY_FEATURES = ("ContentKNN",)  # those that read item features

POPULARITY = "Pop"  # RecBole's popularity baseline, whose counts are mended

# A weighted sum of the scores of finished runs and neighbourhoods: with a sequential model among them, and of general models alone.
# They have no SDA version.
ENSEMBLE, GENERAL_ENSEMBLE = "Ensemble", "GeneralEnsemble"
ENSEMBLES: Dict[str, str] = {ENSEMBLE: "model", GENERAL_ENSEMBLE: "general"}  # by their file in model/ensemble/

_SECOND_TABLE = "holds a second item table that the swap does not reach"
_NO_TABLE = "has no item embedding table"
_SIDE = "needs further item fields or a knowledge graph"

# RecBole's models of other kinds, which run as they are where their own needs are met.
CONTEXT_AWARE = (
    "AFM", "AutoInt", "DCN", "DCNV2", "DeepFM", "DSSM", "EulerNet", "FFM", "FiGNN", "FM", "FNN", "FwFM", "KD_DAGFM", "LR", "NFM",
    "PNN", "WideDeep", "xDeepFM",
)  # fmt: skip
KNOWLEDGE_AWARE = ("CFKG", "CKE", "KGAT", "KGCN", "KGIN", "KGNNLS", "KTUP", "MCCLK", "MKR", "RippleNet")
EXTERNAL = ("XGBoost", "LightGBM")  # of other libraries

# Models -> the package that RecBole imports for them and that neither RecBole nor this package installs.
NEEDED_PACKAGES: Dict[str, str] = {
    "KGAT": "dgl",
    "KGIN": "torch_scatter",
    "MCCLK": "torch_scatter",
    "NCL": "faiss",
    "XGBoost": "xgboost",
    "LightGBM": "lightgbm",
}

# Models that only RecBole 1.2.1 has, whose own requirements do not resolve with current versions of numpy and Ray.
ONLY_IN_1_2_1 = ("SASRecCPR", "GRU4RecCPR", "AsymKNN")

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
