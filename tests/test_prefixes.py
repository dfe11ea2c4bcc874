"""The samples are RecBole's, field by field."""

import pytest
import torch
from recbole.data import create_dataset
from recbole.data.dataset import SequentialDataset

from recbole_sda.prefixes import fast_augmentation


@pytest.mark.parametrize("longest", [20, 8, 1])
@pytest.mark.parametrize("model", ["SASRec", "BERT4Rec"])
def test_samples_equal_recboles(build, model, longest):
    keys = {"MAX_ITEM_LIST_LENGTH": longest, "load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    own = SequentialDataset.data_augmentation
    parts = []
    for fast in (False, True):
        dataset = create_dataset(build.config(model, **keys))
        if fast:
            with fast_augmentation():
                parts.append(dataset.build())
        else:
            parts.append(dataset.build())
    assert SequentialDataset.data_augmentation is own
    for theirs, ours in zip(*parts):
        assert list(theirs.inter_feat.interaction) == list(ours.inter_feat.interaction)
        for field, values in theirs.inter_feat.interaction.items():
            assert ours.inter_feat[field].dtype == values.dtype
            assert torch.equal(ours.inter_feat[field], values), field
