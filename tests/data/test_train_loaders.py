"""Packed and trimmed training against RecBole's padded prefixes: the same summed loss and gradients."""

import copy

import numpy as np
import pytest
import torch

from recbole_sda.data import train_loaders as loaders
from recbole_sda.data.datasets import load_data
from recbole_sda.data.train_loaders import PackedLoader, TrimmedLoader, train_windows, trim
from recbole_sda.errors import InputError
from recbole_sda.model.registry import BASE_MODELS, model_class

from recbole.data.dataloader import TrainDataLoader  # isort: skip

PACKED = [name + suffix for name, row in BASE_MODELS.items() if row.sequences == "packed" for suffix in ("", "_SDA")]
TRIMMED = [name + suffix for name, row in BASE_MODELS.items() if row.sequences != "padded" for suffix in ("", "_SDA")]
NO_CMSA = {"cmsa_weight": 0.0}


def summed(model, loader, size):
    """Loss summed over all targets of an epoch and its gradients, without dropout."""
    model.eval()
    model.zero_grad()
    total = 0.0
    for batch in loader:
        loss = model.calculate_loss(batch)
        n_targets = int((batch[model.ITEM_ID] > 0).sum())
        total += loss.item() * n_targets
        (loss * n_targets).backward()
        size.append(n_targets)
    return total, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("longest", [20, 8, 4])
def test_summed_loss_and_gradients_equal_recboles(build, name, longest):
    """The longest history of the tiny set is 10: below, at and over the maximum length, with RecBole's histories."""
    keys = {"MAX_ITEM_LIST_LENGTH": longest, "packed_stride": 1, **(NO_CMSA if name.endswith("_SDA") else {})}
    packed, plain = build(name, **keys), build(name, fast_sequences=False, **keys)
    assert isinstance(packed.data.train, PackedLoader) and not isinstance(plain.data.train, PackedLoader)
    ours, theirs = [], []
    one, one_grads = summed(packed.model, packed.data.train, ours)
    other, other_grads = summed(plain.model, plain.data.train, theirs)
    assert sum(ours) == sum(theirs)
    assert one == pytest.approx(other, rel=1e-5)
    assert one_grads.keys() == other_grads.keys()
    for key, value in other_grads.items():
        torch.testing.assert_close(one_grads[key], value, rtol=1e-3, atol=1e-4, msg=lambda text: f"{key}: {text}")


@pytest.mark.parametrize("name", PACKED)
def test_up_to_the_maximum_length_the_stride_does_not_matter(build, name):
    keys = {"MAX_ITEM_LIST_LENGTH": 20, **(NO_CMSA if name.endswith("_SDA") else {})}
    wide, narrow = build(name, **keys), build(name, packed_stride=1, **keys)
    assert summed(wide.model, wide.data.train, [])[0] == pytest.approx(
        summed(narrow.model, narrow.data.train, [])[0], rel=1e-6
    )


@pytest.mark.parametrize("name", PACKED)
def test_what_follows_a_position_does_not_change_its_output(build, name):
    """What the table's column `packed` claims: causal, and blind to the padding behind a sequence."""
    built = build(name, fast_sequences=False)
    model = built.model.eval()
    sequence, length = torch.tensor([[3, 5, 7, 0, 0, 0, 0, 0]]), torch.tensor([3])
    longer, trimmed = torch.tensor([[3, 5, 7, 9, 11, 2, 0, 0]]), sequence[:, :3]
    with torch.no_grad():
        short = model.forward(sequence, length)
        torch.testing.assert_close(model.forward(trimmed, length), short)
        with model._at_every_position():
            torch.testing.assert_close(model.forward(longer, torch.tensor([6]))[:, 2], short)


@pytest.mark.parametrize("name", TRIMMED)
def test_padding_does_not_change_what_claims_so(build, name):
    """What the column claims: loss and scores of a batch without its padding are those of the padded one.

    Item vectors are as large as after training, that of the padding too, and histories as short as one item.
    """
    model, data, batch, config = vars(build(name, fast_sequences=False, MAX_ITEM_LIST_LENGTH=20)).values()
    model.eval()
    table = getattr(model, BASE_MODELS[name.removesuffix("_SDA")].item_table)
    torch.nn.init.normal_((table.ids if name.endswith("_SDA") else table).weight, std=0.5)
    evaluated = next(iter(data.valid))[0]
    for interaction in (batch, evaluated):
        interaction["item_length"][:8] = 1
        interaction["item_id_list"][:8, 1:] = 0
    found = []
    with torch.no_grad():
        for change in (lambda interaction: interaction, lambda interaction: trim(interaction, config)):
            torch.manual_seed(0)
            loss = model.calculate_loss(change(copy.deepcopy(batch)))
            scores = model.full_sort_predict(change(copy.deepcopy(evaluated)))
            found.append((sum(loss) if isinstance(loss, tuple) else loss, scores))
    assert trim(copy.deepcopy(batch), config)[model.ITEM_SEQ].shape[1] < 20
    for one, other in zip(*found):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_trimmed_batches_hold_every_sample_once(build):
    loader = build("NARM").data.train
    assert isinstance(loader, TrimmedLoader)
    batches = list(loader)
    assert len(batches) == len(loader) == -(-len(loader.dataset) // 64)
    seen = torch.cat([batch["item_id"] for batch in batches])
    assert torch.equal(seen.sort().values, loader.dataset.inter_feat["item_id"].sort().values)
    for batch in batches:
        assert batch["item_id_list"].shape[1] == batch["item_length"].max()


def test_negatives_take_part_in_the_size_of_a_batch(build):
    """As RecBole's: a batch of 64 rows holds 16 samples with 4 negatives each."""
    keys = {"loss_type": "BPR", "train_neg_sample_args": {"distribution": "uniform", "sample_num": 4, "alpha": 1.0,
            "dynamic": False, "candidate_num": 0}}  # fmt: skip
    ours, theirs = (build("SRGNN", fast_sequences=fast, **keys).data.train for fast in (True, False))
    assert isinstance(ours, TrimmedLoader) and len(ours) == len(theirs)
    assert len(next(iter(ours))["item_id"]) == len(next(iter(theirs))["item_id"]) == 64


def test_masked_batches_hold_as_many_expected_targets_whatever_their_length(build):
    """RecBole's BERT4Rec has no target in a sample of length one; a batch of such samples has loss zero, not NaN."""
    built = build("BERT4Rec", train_batch_size=20, MAX_ITEM_LIST_LENGTH=20, ft_ratio=0.3)
    loader, model = built.data.train, built.model
    batches = list(loader)
    assert sum(map(len, batches)) == len(loader.dataset)
    lengths = [batch["item_length"].float() for batch in batches]
    expected = [(0.7 * (0.2 * (n - 1)).clamp(max=4) + 0.3 * (n > 1)).sum().item() for n in lengths]
    longest = max(len(batch) for batch in batches)
    assert longest > 2 * min(len(batch) for batch in batches[:-1])
    assert sorted(expected)[1] == pytest.approx(sorted(expected)[-1], rel=0.4)  # but for what is left over
    assert all(torch.isfinite(model.calculate_loss(batch)) for batch in batches)


def test_targets_per_epoch_are_recboles(build):
    packed, plain = build("SASRec"), build("SASRec", fast_sequences=False)
    field = plain.data.train._dataset.iid_field
    wanted = torch.cat([batch[field] for batch in plain.data.train])
    for _ in range(2):
        found = torch.cat([batch[field][batch[field] > 0] for batch in packed.data.train])
        assert torch.equal(found.sort().values, wanted.sort().values)


@pytest.mark.parametrize(
    "keys, kind", [({"loss_type": "BPR"}, TrimmedLoader), ({"fast_sequences": False}, TrainDataLoader)]
)
def test_where_packing_does_not_apply(build, keys, kind):
    if keys.get("loss_type"):
        keys = {**keys, "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}
    assert type(build("SASRec", **keys).data.train) is kind


@pytest.mark.parametrize("stride", [0, 9, -1, 2.5, "all"])
def test_strides_out_of_range(build, stride):
    with pytest.raises(InputError, match=f"packed_stride={stride!r}: expected a whole number from 1 to 8"):
        build("SASRec", packed_stride=stride)


def test_samples_that_are_not_all_prefixes_are_not_packed(build):
    data = copy.deepcopy(build("SASRec", fast_sequences=False).data.train._dataset)
    assert train_windows(data, 8, 4) is not None
    data.inter_feat = data.inter_feat[np.arange(3, len(data.inter_feat))]
    assert train_windows(data, 8, 4) is None


@pytest.mark.parametrize("n_batches, n_processes", [(3, 8), (5, 2), (4, 4), (1, 3)])
def test_all_processes_have_equally_many_batches(build, monkeypatch, n_batches, n_processes):
    loader = build("SASRec").data.train
    monkeypatch.setattr(loader, "_n_processes", n_processes)
    monkeypatch.setattr(loaders, "batch_plan", lambda *_: [np.array([k]) for k in range(n_batches)])
    plans = []
    for rank in range(n_processes):
        monkeypatch.setattr(loaders.distributed, "get_rank", lambda rank=rank: rank)
        plans.append([int(batch[0]) for batch in loader._plan(np.random.default_rng(0))])
    assert len({len(plan) for plan in plans}) == 1
    assert {k for plan in plans for k in plan} == set(range(n_batches))


def test_dynamic_negatives_are_chosen_by_the_model(build):
    """RecBole tells the training loader the model, which scores the candidates."""
    keys = {
        "loss_type": "BPR",
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1, "dynamic": True, "candidate_num": 3},
    }
    built = build.config("SASRec_SDA", **keys)
    data = load_data(built)
    model = model_class("SASRec_SDA")(built, data.train._dataset)
    data.train.get_model(model)
    assert isinstance(data.train, TrimmedLoader) and len(next(iter(data.train))) > 0
