"""ContentKNN: scores against loops over the features, and a whole run."""

import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.transforms import view
from recbole_sda.model.item_features import item_tokens

DECAY = 0.6


def test_scores_equal_loops(build, data_path):
    built = build("ContentKNN", knn_decay=DECAY)
    store = FeatureStore(data_path / "tiny/features/random")
    views = {name: view(store, name, ("center", "l2")) for name in store.modalities}
    aligned = store.align(item_tokens(built.data.dataset), views)
    vectors = []
    for item in range(built.model.n_items):
        parts = [torch.nn.functional.normalize(aligned.matrices[name][item], dim=0) for name in aligned.modalities]
        joint = torch.cat([part * bool(aligned.present[m, item]) for m, part in enumerate(parts)])
        vectors.append(joint / joint.norm().clamp(min=1e-12))
    batch = next(iter(built.data.test))[0]
    scores = built.model.full_sort_predict(batch)
    for row in range(5):
        history = batch["item_id_list"][row][: batch["item_length"][row]].tolist()[::-1]
        for item in range(built.model.n_items):
            expected = sum(DECAY**age * (vectors[j] @ vectors[item]) for age, j in enumerate(history))
            torch.testing.assert_close(scores[row, item], torch.as_tensor(expected), rtol=1e-4, atol=1e-5)
    targets = batch["item_id"].unsqueeze(1)
    torch.testing.assert_close(built.model.predict(batch), scores.gather(1, targets).squeeze(1))


def test_it_runs_and_loads_and_the_control_differs(tiny_keys, tmp_path):
    results = []
    for shuffled in (False, True):
        keys = {**tiny_keys, "epochs": 1, "run_dir": str(tmp_path / str(shuffled)), "shuffle_features": shuffled}
        results.append(experiment.run("ContentKNN", "tiny", (), keys))
        assert experiment.evaluate(tmp_path / str(shuffled))["test"] == results[-1]["test"]
    assert results[0]["test"] != results[1]["test"] and results[0]["features"]["items"] == 37


def test_keys(build):
    with pytest.raises(InputError, match="knn_decay="):
        build("ContentKNN", knn_decay=0)
    with pytest.raises(InputError, match="no SDA version of ContentKNN"):
        build("ContentKNN_SDA")
