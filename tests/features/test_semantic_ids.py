"""Semantic ids: the last token, items without a vector, order and seed, the same codes in the id table, and the figures."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.semantic_ids import number_equal_rows, read_codes, semantic_ids
from recbole_sda.features.store import FeatureStore, write_store


def grouped(n_groups: int = 12, per_group: int = 5, seed: int = 0):
    """Vectors in groups of groups: 3 far apart, each of the same 4 differences, each of ``per_group`` very near ones."""
    rng = np.random.default_rng(seed)
    far, near = 20 * np.eye(3, 8), 2 * np.eye(4, 8, 4)
    rows = [far[g % 3] + near[g // 3] + 0.01 * rng.normal(size=8) for g in range(n_groups) for _ in range(per_group)]
    return np.asarray(rows, dtype=np.float32), np.repeat(np.arange(n_groups), per_group)


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    vectors, _ = grouped()
    vectors[1] = vectors[0]  # two equal items
    present = np.ones(60, dtype=bool)
    present[7] = False
    ids = [f"i{k}" for k in range(60)]
    return FeatureStore(write_store(tmp_path / "features/mine", ids, {"text": vectors}, {"text": present}))


def test_known_clusters_are_the_first_codes(tmp_path):
    vectors, group = grouped()
    store = FeatureStore(write_store(tmp_path / "s", [f"i{k}" for k in range(60)], {"text": vectors}))
    ids = semantic_ids(store, [3, 4], views=[])
    coarse = {(int(g) % 3, int(code)) for g, code in zip(group, ids.codes[:, 0])}
    fine = {(int(g), tuple(code)) for g, code in zip(group, ids.codes.tolist())}
    assert len(coarse) == 3 and len(fine) == 12 == len({code for _, code in fine})
    assert ids.last.tolist() == [0, 1, 2, 3, 4] * 12
    quality = ids.record["quality"]
    assert (quality["distinct"], quality["unique"], quality["largest_group"]) == (12, 0.0, 5)
    assert quality["collision_rate"] == 0.8
    assert [level["perplexity"] for level in quality["levels"]] == pytest.approx([3.0, 4.0], abs=0.01)
    assert [level["entropy"] for level in quality["levels"]] == pytest.approx([np.log2(3), 2.0], abs=1e-3)
    assert quality["levels"][1]["error"] < 0.01 < quality["levels"][0]["error"] < 1


def test_codes_and_last_token_are_unique(store):
    ids = semantic_ids(store, [4, 4, 4])
    rows = list(map(tuple, torch.cat([ids.codes, ids.last[:, None]], dim=1).tolist()))
    assert len(set(rows)) == 60 and min(ids.last) == 0
    counts = Counter(row[:-1] for row in rows)
    assert ids.record["last_token_values"] == max(counts.values())
    assert rows[0][:-1] == rows[1][:-1]


def test_numbers_of_equal_rows_against_a_loop():
    codes = torch.randint(3, (200, 2), generator=torch.Generator().manual_seed(0))
    seen: Counter = Counter()
    expected = []
    for row in map(tuple, codes.tolist()):
        expected.append(seen[row])
        seen[row] += 1
    assert number_equal_rows(codes).tolist() == expected


def test_an_item_without_a_vector_has_the_codes_of_the_mean(store):
    ids = semantic_ids(store, [4, 4])
    assert ids.has_vector.tolist() == [k != 7 for k in range(60)] and ids.record["items_without_vector"] == 1
    fitted_again = semantic_ids(store, [4, 4], item_ids=[*store.item_ids, "unknown"])
    assert torch.equal(fitted_again.codes[60], fitted_again.codes[7])


def test_order_and_seed(store):
    first = semantic_ids(store, [4, 4])
    order = np.random.default_rng(0).permutation(60)
    again = semantic_ids(store, [4, 4], item_ids=[store.item_ids[k] for k in order])
    assert torch.equal(again.codes, first.codes[order]) and again.item_ids[0] == f"i{order[0]}"
    assert not torch.equal(semantic_ids(store, [4, 4], seed=1).codes, first.codes)


def test_neighbours_and_figures_against_loops(store):
    ids = semantic_ids(store, [5, 3], views=[])
    x = store.matrix("text")[ids.has_vector].double()
    codes = ids.codes[ids.has_vector]
    unit = x / x.norm(dim=1, keepdim=True)
    n, kept, chance = len(x), [0, 0], [0, 0]
    for i in range(n):
        others = sorted((j for j in range(n) if j != i), key=lambda j: -float(unit[i] @ unit[j]))
        for level in range(2):
            same = [bool((codes[i, : level + 1] == codes[j, : level + 1]).all()) for j in others]
            kept[level] += sum(same[:10])
            chance[level] += sum(same)
    levels = ids.record["quality"]["levels"]
    assert [level["neighbours"] for level in levels] == pytest.approx([k / (10 * n) for k in kept], abs=0.01)
    assert [level["chance"] for level in levels] == pytest.approx([c / (n * (n - 1)) for c in chance], abs=1e-6)
    for level in range(2):
        share = np.array(list(Counter(codes[:, level].tolist()).values())) / n
        assert levels[level]["entropy"] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"modalities": ["texts"]}, "has no modality 'texts'; it has text. Did you mean 'text'"),
        ({"sizes": [61]}, "residual codes: level 1 has size 61, but there are only 58 distinct vectors"),
        ({"views": ["recpca:2:1"]}, "recpca needs the interactions of a run"),
        ({"item_ids": ["x", "y"]}, "has none of the data set's items"),
        ({"item_ids": ["i1", "i1"]}, "item id 'i1' occurs more than once"),
    ],
)
def test_wrong_options(store, options, message):
    with pytest.raises(InputError, match=message):
        semantic_ids(store, **{"sizes": [4], **options})


@pytest.mark.parametrize(
    "content, message",
    [
        ("[]", "expected an object"),
        ('{"sizes": [4]}', "lacks 'codes'"),
        ('{"sizes": [], "codes": {}}', "expected a list of whole numbers of at least 1"),
        ('{"sizes": [4], "codes": {"a": [1]}}', "a: .1.: expected 1 codes below .4. and a last token"),
        ('{"sizes": [4], "codes": {"a": [4, 0]}}', "a: .4, 0.: expected 1 codes below .4. and a last token"),
        ('{"sizes": [4], "codes": {"a": [-1, 0]}}', "-1: expected a whole number, at least 0"),
        ("{", "is damaged"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    (tmp_path / "codes.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_codes(tmp_path / "codes.json")


def test_a_file_without_an_item(tmp_path):
    (tmp_path / "codes.json").write_text(json.dumps({"sizes": [4, 2], "codes": {"a": [3, 1, 0]}}))
    assert read_codes(tmp_path / "codes.json") == ((4, 2), {"a": [3, 1]})
