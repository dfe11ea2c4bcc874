"""The vectorised sampler draws what RecBole's draws."""

import numpy as np
import pytest
import torch

from recbole_sda.data.datasets import load_data
from recbole_sda.data.train_negatives import VectorSampler, vectorised

from recbole.data.utils import create_samplers  # isort: skip
from recbole.sampler import RepeatableSampler  # isort: skip


@pytest.fixture(scope="module")
def samplers(build):
    """RecBole's training sampler and ours."""
    config = build.config("BPR")
    data = load_data(config)
    theirs = create_samplers(config, data.dataset, [loader.dataset for loader in (data.train, data.valid, data.test)])
    return theirs[0], vectorised(theirs[0])


@pytest.mark.parametrize("num", [1, 3])
def test_same_draws_as_recbole(samplers, num):
    users = np.random.default_rng(0).integers(1, 44, 500)
    drawn = []
    for sampler in samplers:
        np.random.seed(4)
        drawn.append(sampler.sample_by_user_ids(users, None, num))
    assert torch.equal(*drawn)


def test_no_item_that_the_user_has(samplers):
    theirs, ours = samplers
    users = np.repeat(np.arange(1, 44), 200)
    for user, item in zip(users, ours.sample_by_user_ids(users, None, 1).tolist()):
        assert item not in theirs.used_ids[user] and item > 0


def test_training_of_general_models_uses_it(build):
    assert isinstance(build("BPR").data.train._sampler, VectorSampler)


def test_other_samplers_stay(build):
    data = build("TransRec").data
    assert isinstance(
        data.train.loader._sampler if hasattr(data.train, "loader") else data.train._sampler, RepeatableSampler
    )
