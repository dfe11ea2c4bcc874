"""Files of semantic ids, read back as the recommenders that they are for read them."""

import json

import numpy as np
import pytest
import torch

from recbole_sda.cli.main import main
from recbole_sda.features.semantic_ids import SemanticIds, read_codes, semantic_ids
from recbole_sda.features.store import FeatureStore, write_store


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    vectors = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    present = np.arange(30) != 4
    ids = [f"item {k}" for k in range(30)]
    return FeatureStore(write_store(tmp_path / "s", ids, {"text": vectors}, {"text": present}))


def made(store: FeatureStore) -> SemanticIds:
    return semantic_ids(store, [4, 3])


def command(store: FeatureStore, out, form: str, *more: str) -> int:
    words = ["features", "semantic-ids", str(store.path), "--out", str(out), "--form", form, "--levels", "2"]
    return main([*words, "--codes", "4", "3", *more])


def items_of(out) -> list:
    return out.with_name(f"{out.stem}.items.txt").read_text().splitlines()


def test_json(store, tmp_path, capsys):
    out, ids = tmp_path / "a/codes.json", made(store)
    assert command(store, out, "json") == 0
    sizes, codes = read_codes(out)
    assert sizes == (4, 3) and "item 4" not in codes and len(codes) == 29
    assert codes["item 7"] == ids.codes[7].tolist()
    assert json.loads(out.read_text())["codes"]["item 7"][-1] == int(ids.last[7])
    printed = capsys.readouterr().out
    quality = json.loads((tmp_path / "a/codes.quality.json").read_text())
    assert quality["quality"] == ids.record["quality"] and quality["form"] == "json"
    assert "30 items, 1 without a vector" in printed and f"{quality['quality']['collision_rate']:.4f}" in printed
    assert not out.with_name("codes.items.txt").exists()


def test_tiger(store, tmp_path):
    """The conditions of RecBole 3's reader: keys 0 to n - 1, lists of one length, whole numbers from 0, no list twice."""
    out, ids = tmp_path / "item_sids.json", made(store)
    assert command(store, out, "tiger") == 0
    content = json.loads(out.read_text())
    assert [int(key) for key in content] == list(range(30)) and {len(row) for row in content.values()} == {3}
    assert len(set(map(tuple, content.values()))) == 30
    assert {type(token) for row in content.values() for token in row} == {int}
    for n, row in enumerate(content.values()):
        assert row == [ids.codes[n, 0], 4 + ids.codes[n, 1], 7 + ids.last[n]]
    assert items_of(out) == store.item_ids


def test_grid(store, tmp_path):
    """GRID loads a tensor (levels + 1, items) and transposes it."""
    out, ids = tmp_path / "merged_predictions_tensor.pt", made(store)
    assert command(store, out, "grid") == 0
    tensor = torch.load(out, weights_only=True)
    assert tensor.dtype == torch.int64 and tensor.shape == (3, 30)
    assert torch.equal(tensor.T[:, :2], ids.codes) and torch.equal(tensor[2], ids.last)
    assert len(torch.unique(tensor.T, dim=0)) == 30 and items_of(out) == store.item_ids


def test_minionerec(store, tmp_path):
    """MiniOneRec joins the texts of an item; constrained decoding needs a text of one item only."""
    out, ids = tmp_path / "Mine.index.json", made(store)
    assert command(store, out, "minionerec") == 0
    content = json.loads(out.read_text())
    assert list(content) == [str(n) for n in range(30)] and len({"".join(words) for words in content.values()}) == 30
    codes = list(map(tuple, ids.codes.tolist()))
    for n, words in enumerate(content.values()):
        assert words[:2] == [f"<a_{codes[n][0]}>", f"<b_{codes[n][1]}>"]
        assert words[2:] == ([f"<c_{ids.last[n]}>"] if codes.count(codes[n]) > 1 else [])
    assert (tmp_path / "Mine.index.items.txt").is_file()


def test_order_of_other_software(store, tmp_path):
    (tmp_path / "ids.txt").write_text("item 9\nnot here\nitem 2\n" + "".join(f"item {k}\n" for k in range(10, 20)))
    out = tmp_path / "codes.json"
    assert command(store, out, "tiger", "--ids", str(tmp_path / "ids.txt")) == 0
    assert items_of(out)[:3] == ["item 9", "not here", "item 2"] and len(json.loads(out.read_text())) == 13


@pytest.mark.parametrize(
    "out, form, more, message",
    [
        ("codes.pt", "json", (), "codes.pt: expected a file that ends with .json, for the form json"),
        ("codes.json", "grid", (), "codes.json: expected a file that ends with .pt, for the form grid"),
        ("codes.json", "json", ("--modality", "image"), "has no modality 'image'; it has text"),
        (
            "codes.json",
            "json",
            ("--levels", "3"),
            "--codes has 2 numbers: expected one for all levels, or one for each of 3",
        ),
        ("codes.json", "json", ("--levels", "0"), "--levels=0: expected a whole number at least 1 and at most 25"),
        ("codes.json", "json", ("--seed", "-1"), "--seed=-1: expected a whole number at least 0"),
        ("codes.json", "json", ("--ids", "none.txt"), "none.txt does not exist"),
        ("codes.json", "json", ("--views", "pca"), "pca"),
    ],
)
def test_wrong_options(store, tmp_path, capsys, out, form, more, message):
    assert command(store, tmp_path / out, form, *more) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
