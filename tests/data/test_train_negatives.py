"""The vectorised sampler draws what RecBole's draws."""

import numpy as np
import pytest
import torch

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
from recbole_sda.data.train_negatives import KnownItemsSampler, VectorSampler, train_sampler
from recbole_sda.errors import InputError

from recbole.data.utils import create_samplers  # isort: skip
from recbole.sampler import RepeatableSampler  # isort: skip


@pytest.fixture(scope="module")
def samplers(build):
    """RecBole's training sampler and ours."""
    config = build.config("BPR")
    data = load_data(config)
    theirs = create_samplers(config, data.dataset, [loader.dataset for loader in (data.train, data.valid, data.test)])
    return theirs[0], train_sampler(config, theirs[0], data.train.dataset)


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


@pytest.mark.parametrize(
    "model, keys", [("TransRec", {}), ("SASRec", {"loss_type": "BPR"}), ("GRU4Rec_SDA", {"loss_type": "BPR"})]
)
@pytest.mark.parametrize("masked", [True, False])
def test_negatives_of_sequential_models_avoid_the_users_items(build, model, keys, masked):
    """Without the key RecBole draws items of the history; with it, none of the user's training items."""
    keys = {**keys, "train_mask_history": masked, "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}
    data = build(model, **keys).data
    samples = data.train.dataset.inter_feat
    histories = {}
    for user, item, history in zip(
        samples["user_id"].tolist(), samples["item_id"].tolist(), samples["item_id_list"].tolist()
    ):
        histories.setdefault(user, set()).update({item, *history} - {0})
    clashes = 0
    for _ in range(5):
        for batch in data.train:
            for user, negative in zip(batch["user_id"].tolist(), batch["neg_item_id"].tolist()):
                clashes += negative in histories[user]
    assert (clashes == 0) == masked
    assert isinstance(getattr(data.train, "loader", data.train)._sampler, KnownItemsSampler) == masked


def test_a_softmax_of_the_model_s_own_is_refused(build):
    with pytest.raises(InputError, match="train_mask_history=True: this model computes its own softmax"):
        build.config("CORE", train_mask_history=True)
    build.config("BPR", train_mask_history=True)  # its negatives avoid them always


def test_a_user_who_has_all_items_is_refused(build, tmp_path):
    """No negative is left for him; RecBole's sampler of general models refuses him too."""
    (tmp_path / "all").mkdir()
    rows = [("all", item, item) for item in range(12)] + [("all", item, 20 + item) for item in range(2)]
    rows += [(f"u{user}", (user + time) % 12, time) for user in range(9) for time in range(6)]
    lines = ["user_id:token\titem_id:token\ttimestamp:float", *(f"{u}\ti{i}\t{t}" for u, i, t in rows)]
    (tmp_path / "all/all.inter").write_text("\n".join(lines) + "\n")
    keys = {
        "data_path": str(tmp_path),
        "loss_type": "BPR",
        "train_mask_history": True,
        "topk": [3],
        "valid_metric": "NDCG@3",
    }
    keys["train_neg_sample_args"] = {"distribution": "uniform", "sample_num": 1}
    with pytest.raises(InputError, match="a user has all items in training"):
        load_data(RunConfig("SASRec", "all", (), keys))
