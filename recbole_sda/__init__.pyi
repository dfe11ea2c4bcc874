from recbole_sda import lvlm as lvlm
from recbole_sda import models as models
from recbole_sda.comparison.compare import compare as compare
from recbole_sda.engine.experiment import evaluate as evaluate
from recbole_sda.engine.experiment import resume as resume
from recbole_sda.engine.experiment import run as run
from recbole_sda.engine.run import Run as Run
from recbole_sda.engine.run import load as load
from recbole_sda.errors import InputError as InputError
from recbole_sda.features.store import FeatureStore as FeatureStore
from recbole_sda.features.store import find_store as find_store
from recbole_sda.features.store import write_store as write_store
from recbole_sda.layers.item_embedding import EncodedItemEmbedding as EncodedItemEmbedding
from recbole_sda.layers.item_encoder import MoDAItemEncoder as MoDAItemEncoder
from recbole_sda.layers.low_rank import ModalityExperts as ModalityExperts
from recbole_sda.layers.low_rank import ModalityGate as ModalityGate
from recbole_sda.losses.cmsa import CMSALoss as CMSALoss
from recbole_sda.losses.cmsa import multimodal_cmsa as multimodal_cmsa
from recbole_sda.losses.infonce import InfoNCELoss as InfoNCELoss
from recbole_sda.model.registry import list_models as list_models
from recbole_sda.model.registry import model_class as get_model
from recbole_sda.recommend.recommender import Recommender as Recommender

__version__: str
__all__ = [
    "__version__",
    "lvlm",
    "models",
    "run",
    "resume",
    "evaluate",
    "load",
    "Run",
    "get_model",
    "list_models",
    "ModalityExperts",
    "ModalityGate",
    "MoDAItemEncoder",
    "EncodedItemEmbedding",
    "CMSALoss",
    "InfoNCELoss",
    "multimodal_cmsa",
    "FeatureStore",
    "write_store",
    "find_store",
    "Recommender",
    "compare",
    "InputError",
]
