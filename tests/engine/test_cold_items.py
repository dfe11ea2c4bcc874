"""Items that a split leaves without training interactions, in every way to a trained model."""

import json

import numpy as np
import pytest
import torch

from recbole_sda.data.datasets import Counts, load_data
from recbole_sda.engine import experiment
from recbole_sda.engine import run as runs
from recbole_sda.engine.ensemble import ensemble
from recbole_sda.recommend.recommender import Recommender

COLD = np.array([4, 9, 20])


@pytest.fixture
def cold_split(monkeypatch):
    """Makes three items cold for the models, whatever the split."""

    def load(*args, **kwargs):
        data = load_data(*args, **kwargs)
        items = data.counts.items.copy()
        items[COLD] = 0
        data.train._dataset.training_counts = Counts(data.counts.users, items)
        data.train._dataset.absent_items = COLD
        return data

    monkeypatch.setattr(runs, "load_data", load)


@pytest.mark.parametrize("model", ["SASRec_SDA", "LightGCN_SDA", "FREEDOM"])
def test_cold_items_have_the_same_rows_in_a_run_after_load_in_an_ensemble_and_in_recommendations(
    tiny_keys, tmp_path, cold_split, model
):
    result = experiment.run(model, "tiny", (), {**tiny_keys, "run_dir": str(tmp_path / "run")})
    again = experiment.evaluate(tmp_path / "run")
    assert again["test"] == result["test"] and again["valid"] == result["valid"]
    both = ensemble([tmp_path / "run"], tmp_path / "both", {"ensemble_weights": [1]})
    assert both["test"] == result["test"]
    member = runs.load(tmp_path / "both").model.members[0].model
    loaded = runs.load(tmp_path / "run").model
    for one in (member, loaded):
        assert [completion.items.tolist() for completion in one.completions] == [COLD.tolist()]
    recommender = Recommender(tmp_path / "run")
    filled = recommender.scores(["u1", "u2"]).to_numpy()
    recommender.model.completions.clear()
    recommender.model.train()  # which discards stored embeddings
    if model == "LightGCN_SDA":
        recommender.model.restore_item_e = None
    scores = recommender.scores(["u1", "u2"]).to_numpy()
    assert (np.abs(filled - scores)[:, COLD - 1] > 1e-7).all()
    if model != "SASRec_SDA":  # whose users are their histories, with cold items
        others = np.setdiff1d(np.arange(scores.shape[1]), COLD - 1)
        np.testing.assert_allclose(filled[:, others], scores[:, others], rtol=1e-4, atol=1e-6)


def test_a_split_without_cold_items_is_as_ever(tiny_keys, tmp_path, monkeypatch):
    """Bit for bit, with and without the code that completes items."""
    one = experiment.run("BPR_SDA", "tiny", (), {**tiny_keys, "run_dir": str(tmp_path / "one")})
    monkeypatch.setattr(runs, "complete_cold_items", lambda *args: None)
    two = experiment.run("BPR_SDA", "tiny", (), {**tiny_keys, "run_dir": str(tmp_path / "two")})
    assert json.dumps(one["test"]) == json.dumps(two["test"])
    states = [torch.load(tmp_path / name / "checkpoint/best.pt")["state_dict"] for name in ("one", "two")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])
