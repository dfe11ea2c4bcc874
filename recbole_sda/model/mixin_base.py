"""Types of the RecBole models that the mixins of this package precede: what a mixin may use of the class behind it.

A mixin has no base class of its own: ``class SASRec_SDA(SDA, SASRec)`` gives it RecBole's model at run time. RecBole has no type
annotations, so the attributes and methods that the mixins use are declared here for type checkers. At run time all three names
are ``object`` and leave the method resolution order unchanged.
"""

from typing import TYPE_CHECKING, Any, Dict, Tuple, Union

from torch import Tensor, nn

from recbole_sda.layers.modality_features import ModalityFeatures

Loss = Union[Tensor, Tuple[Tensor, ...]]  # RecBole's trainer adds up the terms of a tuple

if TYPE_CHECKING:

    class Recommender(nn.Module):
        """Any model of RecBole: fields of a batch are named by attributes such as ``ITEM_ID``."""

        ITEM_ID: str
        n_items: int
        type: Any  # ModelType

        def __init__(self, config: Any, dataset: Any) -> None: ...

        def calculate_loss(self, interaction: Any) -> Loss: ...

        def forward(self, *inputs: Any, **named: Any) -> Any: ...

        def predict(self, interaction: Any) -> Tensor: ...

        def full_sort_predict(self, interaction: Any) -> Tensor: ...

    class SequentialRecommender(Recommender):
        """A sequential model whose score is the product of the output of ``forward`` with an item embedding."""

        ITEM_SEQ: str
        ITEM_SEQ_LEN: str
        POS_ITEM_ID: str
        loss_type: str
        item_embedding: Any  # nn.Embedding; in an SDA version, the EncodedItemEmbedding that replaces it

        def reconstruct_test_data(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor: ...

        def gather_indexes(self, output: Tensor, gather_index: Tensor) -> Tensor: ...

    class FeatureRecommender(Recommender):
        """A multimodal recommender of :mod:`recbole_sda.model.multimodal`."""

        item_features: ModalityFeatures
        user_embedding: nn.Embedding
        item_embedding: Any  # nn.Embedding; in an SDA version whose id rows content changes, an EncodedItemEmbedding
        feature_record: Dict[str, Any]

        def build_features(self, config: Any, dataset: Any) -> ModalityFeatures: ...

else:
    Recommender = SequentialRecommender = FeatureRecommender = object
