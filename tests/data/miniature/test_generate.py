"""The built-in miniature: the same bytes each time, skewed popularity, sequences that follow image and text."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest

from recbole_sda.data.miniature import generate as module
from recbole_sda.data.miniature.generate import generate
from recbole_sda.data.miniature.render import COLOURS
from recbole_sda.data.miniature.words import PURPOSES


@pytest.fixture(scope="module")
def miniature(miniature_path):
    folder = miniature_path / "Amazon_Sports-sample"
    items_file = folder / "items.jsonl"
    lines = [line.split("\t") for line in (folder / "Amazon_Sports-sample.inter").read_text().splitlines()[1:]]
    return folder, [json.loads(line) for line in items_file.read_text().splitlines()], lines


def digest(folder) -> str:
    files = sorted(path for path in (*folder.glob("*"), *folder.glob("images/*")) if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_same_name_same_bytes_other_name_other_data(miniature, tmp_path, monkeypatch):
    again, _ = generate("Amazon_Sports", tmp_path)
    assert digest(again) == digest(miniature[0])
    monkeypatch.setattr(module, "N_ITEMS", 150)  # of an equal, small size, which makes no difference by itself
    small, other = (generate(name, tmp_path / "small")[0] for name in ("Amazon_Sports", "Amazon_Beauty"))
    assert digest(small) != digest(other)


def test_files_agree(miniature):
    folder, items, lines = miniature
    ids = {item["item_id"] for item in items}
    assert {line[1] for line in lines} == ids and len(ids) == len(items) > 350
    atomic = (folder / "Amazon_Sports-sample.item").read_text().splitlines()
    assert atomic[0] == "item_id:token\ttitle:token_seq\tbrand:token" and len(atomic) == len(items) + 1
    for item in items:
        assert item["title"] and item["brand"] in item["title"] and item["categories"] == ["Sports"]
        assert item["image"] is None or (folder / item["image"]).is_file()
    assert 0 < sum(item["image"] is None for item in items) < 0.1 * len(items)


def test_sequences_and_popularity(miniature):
    _, _, lines = miniature
    lengths = Counter(line[0] for line in lines)
    assert len(lengths) == module.N_USERS and min(lengths.values()) >= module.MIN_LENGTH
    counts = np.sort(list(Counter(line[1] for line in lines).values()))[::-1]
    assert counts[: len(counts) // 10].sum() > 0.3 * counts.sum()  # skew
    assert (counts < 10).sum() > 30  # rare items


def test_the_next_item_keeps_the_colour_and_moves_to_the_next_purpose():
    rng = np.random.default_rng(0)
    products = module._products("Sports", rng)
    follow = [
        products[b].colour == products[a].colour and products[b].purpose == (products[a].purpose + 1) % len(PURPOSES)
        for sequence in module._sequences(products, rng)
        for a, b in zip(sequence, sequence[1:])
    ]
    by_chance = 1 / (len(COLOURS) * len(PURPOSES))
    assert np.mean(follow) > 0.6 > 10 * by_chance
