"""The split and the judgement that the comparison of libraries applies to each."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from recbole_sda.errors import InputError

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "peer_protocol.py"
spec = importlib.util.spec_from_file_location("peer_protocol", PATH)
protocol = importlib.util.module_from_spec(spec)
spec.loader.exec_module(protocol)


def write(tmp_path, rows):
    path = tmp_path / "toy.inter"
    path.write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]) + "\n")
    return path


def test_the_last_two_items_in_time_are_held_out(tmp_path):
    rows = ["u\tlate\t9", "v\tb\t1", "u\tNA\t2", "u\tsame1\t5", "v\tc\t10", "u\tsame2\t5", "v\tlate\t2"]
    split = protocol.read_split(write(tmp_path, rows))
    assert split.users.tolist() == ["u", "v"]
    assert split.items[split.targets("test")].tolist() == ["late", "c"]
    assert split.items[split.targets("valid")].tolist() == ["same2", "late"]
    assert [split.items[split.known("test").take(np.array([user]))[1]].tolist() for user in (0, 1)] == [
        ["NA", "same1", "same2"],
        ["b", "late"],
    ]


@pytest.mark.parametrize(
    "rows, message",
    [
        (["u\ta\t1", "u\tb\t2"], "user u has 2 interactions, at least 3"),
        (["u\ta\t1", "u\tb\t2", "u\ta\t3"], "1 interactions repeat a user-item pair"),
    ],
)
def test_files_that_do_not_fit_the_protocol_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        protocol.read_split(write(tmp_path, rows))


@pytest.fixture
def split(tmp_path):
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(40)[: rng.integers(3, 9)] for _ in range(300)]
    return protocol.read_split(
        write(tmp_path, [f"u{u}\ti{item}\t{time}" for u, items in enumerate(chosen) for time, item in enumerate(items)])
    )


@pytest.mark.parametrize("phase", ["valid", "test"])
def test_judgement_equals_a_loop_over_all_scores(split, phase):
    scores = np.random.default_rng(1).integers(0, 12, (300, 40)).astype(np.float32)  # many ties
    known = split.known(phase)
    for user in range(300):
        scores[user, known.take(np.array([user]))[1]] = -np.inf
    hits, gains = 0, 0.0
    for user, target in enumerate(split.targets(phase)):
        rank = sum(score >= scores[user, target] for score in scores[user])
        if rank <= 10:
            hits, gains = hits + 1, gains + 1 / math.log2(rank + 1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :11]
    metrics = protocol.judge(split, phase, best, np.take_along_axis(scores, best, axis=1))
    assert 0 < hits < 300
    assert metrics == pytest.approx({"hit@10": hits / 300, "ndcg@10": gains / 300})


def test_a_list_with_a_known_item_is_refused(split):
    items, scores = np.full((300, 11), -1), np.full((300, 11), -np.inf, dtype=np.float32)
    assert protocol.judge(split, "test", items, scores)["hit@10"] == 0
    items[7, 0] = split.targets("valid")[7]
    assert protocol.judge(split, "valid", items, scores)["hit@10"] >= 0
    with pytest.raises(AssertionError, match="items that the user has"):
        protocol.judge(split, "test", items, scores)
