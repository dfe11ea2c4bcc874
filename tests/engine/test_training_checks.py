"""Suspicious trainings are named: lists that are the same for every user, and a best epoch at the very start."""

import numpy as np
import pytest

from recbole_sda.engine import experiment
from recbole_sda.engine.collector import Ranking
from recbole_sda.engine.training_checks import same_list_share, training_warnings
from recbole_sda.metrics.ranks import Cases

HEALTHY = {"stopped": False, "learns": True, "full_sort": True}


def ranking(*counts) -> Ranking:
    return Ranking(Cases.join([]), {2: np.array(counts), 1: np.array(counts)})


def test_share_of_the_same_list():
    assert same_list_share(ranking(0, 5, 5, 0, 0)) == 1.0
    assert same_list_share(ranking(0, 4, 3, 2, 1)) == pytest.approx(0.7)
    assert same_list_share(Ranking(Cases.join([]), {})) is None
    assert same_list_share(ranking(0, 0, 0)) is None


def test_dead_start_and_early_stop_are_named():
    dead, alive = ranking(0, 9, 9, 1, 1), ranking(0, 5, 5, 5, 5, 5, 5)
    assert training_warnings(alive, 8, **HEALTHY) == []
    (warning,) = training_warnings(dead, 8, **HEALTHY)
    assert warning.startswith("dead start: 90% of all recommendations are the same few items for every user")
    assert training_warnings(dead, 8, stopped=False, learns=False, full_sort=True) == []  # Pop and its like
    assert training_warnings(dead, 8, stopped=False, learns=True, full_sort=False) == []  # lists of sampled candidates
    (warning,) = training_warnings(alive, 2, stopped=True, learns=True, full_sort=True)
    assert warning.startswith("epoch 2 is the best one and training stopped soon after it")
    assert training_warnings(None, 5, **HEALTHY) == []
    assert (
        training_warnings(dead, 1, stopped=True, learns=False, full_sort=True) == []
    )  # RecBole trains these for one epoch


def test_long_lists_of_few_items_are_no_dead_start():
    """With 3 items, lists of 2 share at least two thirds."""
    assert training_warnings(ranking(0, 4, 3, 3), 8, **HEALTHY) == []
    assert len(training_warnings(ranking(0, 9, 9, 1), 8, **HEALTHY)) == 1


def test_a_run_that_learns_nothing_says_so(tiny_keys, tmp_path):
    """A rate this high drives all outputs of SASRec to one vector."""
    keys = {
        **tiny_keys,
        "learning_rate": 3.0,
        "warmup_epochs": 0,
        "epochs": 6,
        "topk": [1, 5],
        "valid_metric": "NDCG@5",
    }
    result = experiment.run("SASRec", "tiny", (), {**keys, "run_dir": str(tmp_path / "run")})
    assert any(warning.startswith("dead start") for warning in result["warnings"])
    assert "warning: dead start" in (tmp_path / "run/run.log").read_text()
