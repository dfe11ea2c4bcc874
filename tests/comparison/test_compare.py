"""The Python function that runs and tabulates a comparison."""

import json

import pytest

from recbole_sda.comparison.compare import FailedRuns, compare
from recbole_sda.comparison.tables import read_comparison
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError


@pytest.fixture
def values(tiny_keys) -> dict:
    """A plan of two rows on the tiny data set."""
    models = {"BPR": {}, "BPR_SDA": {"base": "BPR"}}
    return {"datasets": ["tiny"], "seeds": [1], "models": models, "keys": tiny_keys, "metrics": ["hit@5"]}


def test_it_returns_what_it_writes(values, tmp_path):
    comparison = compare(values, tmp_path)
    written = read_comparison(tmp_path / "comparison.json")
    # as text, since the mean without tail cases is nan
    assert json.dumps(comparison) == json.dumps(written) == json.dumps(compare(values, tmp_path, run=False))
    assert [(row["row"], row["seeds"]) for row in comparison["rows"]] == [("BPR", [1]), ("BPR_SDA", [1])]
    assert comparison["comparisons"] == 1 and comparison["metrics"] == ["hit@5"]
    other = compare(values, tmp_path, {"metrics": ["ndcg@10"], "models": ["BPR"]}, run=False)
    assert other["metrics"] == ["ndcg@10"] and len(other["rows"]) == 2  # all finished rows


def test_failed_runs_are_raised_after_the_tables(values, tmp_path, monkeypatch):
    run = experiment.run

    def fail_with_sda(model, *args):
        if model == "BPR_SDA":
            raise RuntimeError("diverged")
        return run(model, *args)

    monkeypatch.setattr(experiment, "run", fail_with_sda)
    with pytest.raises(
        FailedRuns, match="1 of 2 runs failed; the same command tries them again:\n.*diverged"
    ) as raised:
        compare(values, tmp_path)
    assert list(raised.value.failures) == ["BPR_SDA on tiny, seed 1"]
    assert json.dumps(raised.value.comparison) == json.dumps(read_comparison(tmp_path / "comparison.json"))
    assert raised.value.comparison["without_runs"] == {"tiny": ["BPR_SDA"]}


def test_wrong_arguments_are_refused_before_any_run(values, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "run", lambda *a: pytest.fail("ran"))
    for arguments, message in (
        ({"parallel": 0}, "parallel=0: expected a whole number at least 1"),
        ({"gpus": -1}, "gpus=-1: expected a number at least 0"),
        ({"overrides": {"learning_rat": 1}}, "models: BPR: .*learning_rat"),
        ({"run": False}, "has no finished run of this comparison"),
    ):
        with pytest.raises(InputError, match=message):
            compare(values, tmp_path, **arguments)
    assert not list(tmp_path.rglob("comparison.*"))
