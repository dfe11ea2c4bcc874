"""The samples are RecBole's, field by field."""

import numpy as np
import pytest
import torch

from recbole_sda.data.prefix_samples import PrefixSamples, fast_augmentation
from recbole_sda.engine.trainer import make_trainer

from recbole.data import create_dataset  # isort: skip
from recbole.data.dataset import SequentialDataset  # isort: skip
from recbole.data.interaction import Interaction  # isort: skip


@pytest.mark.parametrize("longest", [20, 8, 1])
@pytest.mark.parametrize("model", ["SASRec", "BERT4Rec"])
def test_samples_equal_recboles(build, model, longest):
    if model == "BERT4Rec" and longest == 1:
        pytest.skip("no item of such a short sequence is masked")
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


@pytest.fixture
def samples(build):
    with fast_augmentation():
        return create_dataset(build.config("SASRec", MAX_ITEM_LIST_LENGTH=20)).build()[0].inter_feat


def test_histories_are_made_for_the_samples_at_hand_alone(samples):
    batch = samples[np.array([4, 2, 9])]
    assert isinstance(batch, PrefixSamples) and "item_id_list" in batch and "item_id_list" not in batch._columns
    moved = batch.to("cpu")
    assert type(moved) is Interaction and moved["item_id_list"].shape == (3, 20)
    assert "item_id_list" in samples._histories
    assert torch.equal(moved["item_id_list"], samples["item_id_list"][[4, 2, 9]])
    assert "item_id_list" not in samples._histories  # now it was asked for


def test_it_behaves_as_recboles_interaction(samples):
    plain = Interaction(dict(samples[:].interaction))
    assert len(samples) == len(plain) and sorted(samples.columns) == sorted(plain.columns) == sorted(samples)
    for selection in (slice(3, 7), [5, 1], torch.tensor([0, 3]), np.array([2]), torch.arange(len(plain)) % 3 == 0, 6):
        ours, theirs = samples[selection], plain[selection]
        assert len(ours) == len(theirs)
        for name in plain:
            assert torch.equal(ours[name], theirs[name]), (selection, name)
    samples.sort(["item_length", "item_id"])
    plain.sort(["item_length", "item_id"])
    samples["extra"] = torch.arange(len(plain))
    samples.update(Interaction({"item_id_list": plain["item_id_list"] + 1}))
    assert torch.equal(samples["item_id_list"], plain["item_id_list"] + 1)
    torch.manual_seed(0)
    samples.shuffle()
    assert torch.equal(samples["item_id"], plain["item_id"][samples["extra"]])
    samples.drop("extra")
    assert "extra" not in samples
    with pytest.raises(KeyError):
        samples["nothing"]
    assert not hasattr(samples, "nothing")


@pytest.mark.parametrize("model", ["SASRec_SDA", "BERT4Rec", "NARM", "Caser"])
def test_a_run_never_makes_all_histories_at_once(build, model, tmp_path):
    built = build(model)
    trainer = make_trainer(built.config, built.model, tmp_path)
    trainer.fit(built.data.train, built.data.valid, saved=False)
    for loader in (built.data.train, built.data.valid, built.data.test):
        assert "item_id_list" in loader._dataset.inter_feat._histories
