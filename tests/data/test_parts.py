"""Parts of interactions, by slow loops over the undivided file; nothing of a later part or of a cold item is in training."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
from recbole_sda.errors import InputError
from recbole_sda.model.absent_items import absent_items, has_own_parts
from recbole_sda.model.known_items import known_items

GLOBAL = {"eval_args": {"split": {"global_time": [0.7, 0.15, 0.15]}}}
COLD = {"cold_items": 0.25}


@pytest.fixture
def folder(tmp_path_factory, write_tiny):
    """A data set with users who begin late, times that users share, and random given parts."""
    root = tmp_path_factory.mktemp("timed")
    path = write_tiny(root) / "tiny.inter"
    table = pd.read_csv(path, sep="\t")
    rng = np.random.default_rng(5)
    start = dict(zip(table["user_id:token"].unique(), rng.integers(0, 30, 43)))
    table["timestamp:float"] += table["user_id:token"].map(start)
    table["part:token"] = rng.choice(["train", "valid", "test"], len(table), p=[0.6, 0.2, 0.2])
    table.to_csv(path, sep="\t", index=False)
    return root


@pytest.fixture
def load(folder, short_keys):
    """A function: model, keys -> data, and the undivided table with columns user, item, time, part."""

    def loaded(model, **keys):
        values = {"eval_args": {"split": {"LS": "valid_and_test"}}, **short_keys, "data_path": str(folder), **keys}
        data = load_data(RunConfig(model, "tiny", (), values))
        table = pd.read_csv(folder / "tiny/tiny.inter", sep="\t").rename(columns=lambda name: name.partition("_")[0])
        table.columns = ["user", "item", "time", "part"]
        for name, field in (("user", "user_id"), ("item", "item_id")):
            table[name] = [data.dataset.field2token_id[field][token] for token in table[name]]
        return data, table.sort_values("time", kind="stable").reset_index(drop=True)

    return loaded


def by_hand(table, kind, cold, sequential):
    """Return lists of (user, item) by part, and for each held-out pair the history: loops over users and interactions."""
    rows = table.to_dict("records")
    if kind == "global_time":
        times = sorted(row["time"] for row in rows)
        bounds = times[int(round(0.7 * len(times), 6))], times[int(round(0.85 * len(times), 6))]
        parts = [sum(row["time"] >= bound for bound in bounds) for row in rows]
    elif kind == "given":
        parts = [["train", "valid", "test"].index(row["part"]) for row in rows]
    else:
        last = {}
        for k, row in enumerate(rows):
            last.setdefault(row["user"], []).append(k)
        parts = [0] * len(rows)
        for places in last.values():
            parts[places[-2]], parts[places[-1]] = 1, 2
    parts = [None if part == 0 and row["item"] in cold else part for part, row in zip(parts, rows)]
    trained = {row["user"] for part, row in zip(parts, rows) if part == 0}
    parts = [part if part == 0 or row["user"] in trained else None for part, row in zip(parts, rows)]
    found, histories = {0: [], 1: [], 2: []}, Counter()
    for k, (part, row) in enumerate(zip(parts, rows)):
        if part is None:
            continue
        before = [
            rows[j]["item"]
            for j in range(k)
            if rows[j]["user"] == row["user"] and parts[j] is not None and parts[j] <= part
        ]
        if part and sequential and not before:
            parts[k] = None
            continue
        found[part].append((row["user"], row["item"]))
        if part or before:  # a first training interaction is no sample
            histories[part, row["user"], row["item"], tuple(before)] += 1
    return found, histories


CASES = [
    ("LS", COLD),
    ("global_time", GLOBAL),
    ("global_time", {**GLOBAL, **COLD}),
    ("given", {"eval_args": {"split": {"given": "part"}}}),
]


@pytest.mark.parametrize("kind, keys", CASES)
def test_general_parts_equal_a_loop(load, kind, keys):
    data, table = load("BPR", **keys)
    absent = set(absent_items(data.train._dataset).tolist())
    cold = absent if "cold_items" in keys and kind == "LS" else cold_of(load, table, keys)
    found, _ = by_hand(table, kind, cold, sequential=False)
    for part, loader in enumerate((data.train, data.valid, data.test)):
        feat = loader._dataset.inter_feat
        pairs = list(zip(feat["user_id"].tolist(), feat["item_id"].tolist()))
        assert Counter(pairs) == Counter(found[part])
        assert data.split["interactions"][("train", "valid", "test")[part]] == len(pairs)
    counts = Counter(item for _, item in found[0])
    assert data.counts.items.tolist() == [counts[item] for item in range(data.dataset.item_num)]
    assert absent == set(range(1, data.dataset.item_num)) - set(counts) and has_own_parts(data.train._dataset)


def cold_of(load, table, keys):
    """The cold items of a share, from a split that has no other absent items."""
    if "cold_items" not in keys:
        return set()
    data, _ = load("BPR", **COLD)
    return set(absent_items(data.train._dataset).tolist())


@pytest.mark.parametrize("kind, keys", CASES)
def test_sequential_samples_and_histories_equal_a_loop(load, kind, keys):
    data, table = load("SASRec", MAX_ITEM_LIST_LENGTH=50, fast_sequences=False, **keys)
    found, histories = by_hand(table, kind, cold_of(load, table, keys), sequential=True)
    seen = Counter()
    for part, loader in enumerate((data.train, data.valid, data.test)):
        feat = loader._dataset.inter_feat
        rows, known = known_items(data.dataset, feat).take(np.arange(len(feat)))
        for k, (user, item, n) in enumerate(zip(feat["user_id"], feat["item_id"], feat["item_length"])):
            history = tuple(feat["item_id_list"][k][:n].tolist())
            assert history == tuple(known[rows == k].tolist())
            seen[part, int(user), int(item), history] += 1
    assert seen == histories
    counts = Counter(item for _, item in found[0])
    assert data.counts.items.tolist() == [counts[item] for item in range(data.dataset.item_num)]


@pytest.mark.parametrize("model", ["SASRec", "BERT4Rec", "BPR", "TransRec", "NARM", "LightGCN"])
@pytest.mark.parametrize("keys", [COLD, {**GLOBAL, **COLD}, {**COLD, "train_mask_history": True}])
def test_no_batch_has_a_cold_item(load, model, keys):
    """Neither as target, in a history, nor as a sampled negative."""
    if "train_mask_history" in keys and model == "LightGCN":
        return
    more = {
        "train_neg_sample_args": {
            "distribution": "popularity",
            "sample_num": 2,
            "alpha": 1.0,
            "dynamic": False,
            "candidate_num": 0,
        }
    }
    data, _ = load(model, **keys, **(more if model == "BPR" else {}))
    absent = torch.from_numpy(absent_items(data.train._dataset))
    assert len(absent) > 5
    for _ in range(3):
        for batch in data.train:
            for field, values in batch.interaction.items():
                if "item" in field and "length" not in field:
                    assert not torch.isin(values, absent).any(), field


@pytest.mark.parametrize("keys", [{}, {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}}])
def test_recboles_splits_stay_recboles(load, keys):
    data, _ = load("BPR", **keys)
    assert not has_own_parts(data.train._dataset) and not len(absent_items(data.train._dataset))


def test_random_order_and_shares(load):
    """With cold items, RecBole's random ratio split is the same as without, but for the training interactions of cold items."""
    from recbole.utils import init_seed

    keys, pairs = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"}}, []
    for more in ({}, COLD):
        init_seed(1, True)
        data, _ = load("BPR", **keys, **more)
        feats = [loader._dataset.inter_feat for loader in (data.train, data.valid, data.test)]
        pairs.append([set(zip(feat["user_id"].tolist(), feat["item_id"].tolist())) for feat in feats])
    absent = set(absent_items(data.train._dataset).tolist())
    assert pairs[1][0] == {(user, item) for user, item in pairs[0][0] if item not in absent}
    assert pairs[1][1:] == pairs[0][1:]


def test_cold_items_do_not_depend_on_seed_or_order_of_the_file(load, folder, short_keys, tmp_path):
    data, _ = load("BPR", **COLD)
    tokens = data.dataset.field2id_token["item_id"]
    first = {tokens[item] for item in absent_items(data.train._dataset)}
    other = tmp_path / "tiny"
    other.mkdir()
    table = pd.read_csv(folder / "tiny/tiny.inter", sep="\t").sample(frac=1, random_state=1)
    table.to_csv(other / "tiny.inter", sep="\t", index=False)
    keys = {
        **short_keys,
        "data_path": str(tmp_path),
        "eval_args": {"split": {"LS": "valid_and_test"}},
        **COLD,
        "seed": 5,
    }
    again = load_data(RunConfig("BPR", "tiny", (), keys))
    assert {again.dataset.field2id_token["item_id"][item] for item in absent_items(again.train._dataset)} == first
    other_draw = load_data(RunConfig("BPR", "tiny", (), {**keys, "cold_items_seed": 1}))
    assert {other_draw.dataset.field2id_token["item_id"][i] for i in absent_items(other_draw.train._dataset)} != first


def test_items_first_seen_from_a_time_on(load):
    data, table = load("SASRec", cold_items=12)
    late = {item for item, times in table.groupby("item")["time"] if times.min() >= 12}
    assert late and late <= set(absent_items(data.train._dataset).tolist())
    assert data.split["cold_items"] == len(late)


def test_evaluation_ranks_cold_items(load):
    """They are candidates of a full sort and can be sampled negatives."""
    data, _ = load("BPR", **COLD, eval_args={"split": {"LS": "valid_and_test"}, "mode": "uni20"})
    absent = torch.from_numpy(absent_items(data.train._dataset))
    assert any(torch.isin(batch[4][1], absent).any() for batch in data.test)
    assert np.isin(data.test.dataset.inter_feat["item_id"].numpy(), absent.numpy()).any()


@pytest.mark.parametrize(
    "model, keys, message",
    [
        ("BPR", {"cold_items": 1000}, "cold_items=1000: makes none of the 37 items cold"),
        ("BPR", {"cold_items": -1}, "cold_items=-1: expected"),
        ("BPR", {"eval_args": {"split": {"given": "parts"}}}, "no column 'parts'"),
        ("SASRec", {**COLD, "eval_args": {"order": "RO"}}, "order=RO: sequential models need TO"),
        ("DIEN", COLD, "DIEN makes samples of its own kind"),
    ],
)
def test_errors(load, model, keys, message):
    with pytest.raises(InputError, match=message):
        load(model, **keys)


def test_other_names_of_parts_are_refused(folder, short_keys, tmp_path):
    other = tmp_path / "tiny"
    other.mkdir()
    text = (folder / "tiny/tiny.inter").read_text().replace("\tvalid\n", "\tdev\n")
    (other / "tiny.inter").write_text(text)
    n = text.count("\tdev\n")
    with pytest.raises(InputError, match=rf"given=part: {n} interactions have 'dev'; allowed are train, valid, test"):
        load_data(RunConfig("BPR", "tiny", (), {**short_keys, "data_path": str(tmp_path)}))
