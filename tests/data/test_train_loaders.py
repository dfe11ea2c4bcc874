"""Packed and trimmed training against RecBole's padded prefixes: the same summed loss and gradients."""

import copy
import random

import numpy as np
import pytest
import torch

from recbole_sda.data import train_loaders as loaders
from recbole_sda.data.datasets import load_data
from recbole_sda.data.train_loaders import PackedLoader, TrimmedLoader, train_windows, trim
from recbole_sda.errors import InputError
from recbole_sda.model.model_table import BASE_MODELS
from recbole_sda.model.registry import model_class

from recbole.data.dataloader import TrainDataLoader  # isort: skip
from recbole.data.interaction import Interaction  # isort: skip
from recbole.data.transform import MaskItemSequence  # isort: skip

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
        torch.testing.assert_close(
            one_grads[key], value, rtol=1e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.parametrize("name", PACKED)
def test_up_to_the_maximum_length_the_stride_does_not_matter(build, name):
    keys = {"MAX_ITEM_LIST_LENGTH": 20, **(NO_CMSA if name.endswith("_SDA") else {})}
    wide, narrow = build(name, **keys), build(name, packed_stride=1, **keys)
    assert summed(wide.model, wide.data.train, [])[0] == pytest.approx(
        summed(narrow.model, narrow.data.train, [])[0], rel=1e-6
    )


@pytest.mark.parametrize("name", PACKED)
def test_what_follows_a_position_does_not_change_its_output(build, name):
    """The table's column `packed`: outputs depend neither on later items nor on the padding after a sequence."""
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
def test_padding_does_not_change_trimmed_models(build, name):
    """The table's column `trimmed`: loss and scores of a batch without its padding equal those of the padded one.

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


def simulated_targets(built, length, ft_ratio, n_samples):
    """Mean number of targets of a sample, and its standard error, over many samples that RecBole masks."""
    transform, dataset = MaskItemSequence(built.config), built.data.dataset
    assert transform.ft_ratio == built.config["ft_ratio"]
    transform.ft_ratio = ft_ratio
    sequence = torch.zeros(n_samples, built.config["MAX_ITEM_LIST_LENGTH"], dtype=torch.long)
    sequence[:, :length] = torch.arange(1, length + 1)
    samples = Interaction({"item_id_list": sequence, "item_length": torch.full((n_samples,), length)})
    targets = (transform(dataset, samples)["MASK_INDEX"] > 0).sum(dim=1).double()  # BERT4Rec's loss counts these
    return targets.mean().item(), targets.std().item() / n_samples**0.5


@pytest.mark.parametrize("length", [1, 2, 5, 10])
@pytest.mark.parametrize("mask_ratio, ft_ratio", [(0.2, 0.3), (0.3, 0.0), (0.1, 1.0)])
def test_expected_targets_of_a_masked_sample(build, length, mask_ratio, ft_ratio):
    """With a maximum length of 60 the largest number of masks is out of reach."""
    built = build("BERT4Rec", MAX_ITEM_LIST_LENGTH=60, mask_ratio=mask_ratio, ft_ratio=ft_ratio)
    loader = built.data.train
    (weight,) = {int(weight) for weight in loader.weight[loader.length == length]}
    random.seed(0)
    mean, error = simulated_targets(built, length, 0, 20_000)
    last, _ = simulated_targets(built, length, 1, 2)
    expected = (1 - ft_ratio) * mean + ft_ratio * last
    assert expected < 5
    assert weight / 100 == pytest.approx(expected, abs=4 * error + 0.011)  # rounded up to a hundredth


def test_expected_targets_at_the_largest_number_of_masks(build):
    """The bound is applied to the expectation: never more than RecBole's largest number, and at most 20 % too much."""
    built = build("BERT4Rec", MAX_ITEM_LIST_LENGTH=9, mask_ratio=0.3, ft_ratio=0.0)
    random.seed(0)
    mean, _ = simulated_targets(built, 9, 0, 20_000)
    weight = built.data.train.weight[built.data.train.length == 9][0] / 100
    assert mean < weight <= min(1.2 * mean, 2.01)


def test_masked_batches_have_as_many_targets_whatever_their_length(build):
    """RecBole's BERT4Rec has no target in a sample of length one; a batch of such samples has loss zero, not NaN."""
    built = build("BERT4Rec", train_batch_size=40, MAX_ITEM_LIST_LENGTH=60, ft_ratio=0.0)
    loader, model = built.data.train, built.model
    random.seed(0)
    sizes, targets, lengths = [], [], []
    for _ in range(60):
        batches = list(loader)
        assert sum(map(len, batches)) == len(loader.dataset)
        assert all(torch.isfinite(model.calculate_loss(batch)) for batch in batches[:1])
        batches = sorted(batches, key=lambda batch: batch["item_length"].double().mean())[
            :-1
        ]  # the last may be smaller
        sizes.append([len(batch) for batch in batches])
        targets.append([int((batch["MASK_INDEX"] > 0).sum()) for batch in batches])
        lengths.append([batch["item_length"].double().mean() for batch in batches])
    assert len({len(row) for row in sizes}) == 1
    sizes, targets, lengths = (np.mean(rows, axis=0) for rows in (sizes, targets, lengths))
    assert sizes[1] > 2 * sizes[-1] and lengths[1] < lengths[-1] / 2
    assert targets[1:] == pytest.approx(targets[1:].mean(), rel=0.1)


def test_a_batch_of_samples_without_a_target_has_loss_zero(build):
    built = build("BERT4Rec", train_batch_size=4)
    loader = built.data.train
    batch = loader.batch(np.flatnonzero(loader.length == 1)[:4])
    assert (batch["MASK_INDEX"] == 0).all() and built.model.calculate_loss(batch) == 0


@pytest.mark.parametrize("longest, default", [(6, 3), (5, 2), (1, 1)])
def test_the_default_stride_is_half_the_maximum_length(build, longest, default):
    windows = {}
    for stride in (None, default, *({longest, 1} - {default})):
        windows[stride] = build("SASRec", MAX_ITEM_LIST_LENGTH=longest, packed_stride=stride).data.train.windows
    assert all(torch.equal(*pair) for pair in zip(windows[None], windows[default]))
    others = [len(part.start) for stride, part in windows.items() if stride not in (None, default)]
    assert len(windows[None].start) not in others and len(windows[None].start) > 43


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
    """RecBole gives the training loader the model, which scores the candidates."""
    keys = {
        "loss_type": "BPR",
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1, "dynamic": True, "candidate_num": 3},
    }
    built = build.config("SASRec_SDA", **keys)
    data = load_data(built)
    model = model_class("SASRec_SDA")(built, data.train._dataset)
    data.train.get_model(model)
    assert isinstance(data.train, TrimmedLoader) and len(next(iter(data.train))) > 0
