"""SequenceKNN: scores against loops over the file, and a whole run."""

import numpy as np
import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.engine.train_log import read_history
from recbole_sda.errors import InputError

DECAY, SHRINKAGE = 0.6, 2.0


def sequences(config, dataset):
    """User id -> item ids in time order, from the file."""
    found: dict = {}
    for line in open(f"{config['data_path']}/tiny.inter").read().splitlines()[1:]:
        user, item, time = line.split("\t")
        found.setdefault(dataset.token2id("user_id", user), []).append((float(time), dataset.token2id("item_id", item)))
    return {user: [item for _, item in sorted(rows)] for user, rows in found.items()}


def test_scores_equal_loops(build):
    built = build("SequenceKNN", knn_decay=DECAY, knn_shrinkage=SHRINKAGE, MAX_ITEM_LIST_LENGTH=20)
    users = sequences(built.config, built.data.dataset)
    owners: dict = {}
    for user, items in users.items():
        for item in items[:-2]:  # the training part
            owners.setdefault(item, set()).add(user)

    def similarity(i, j):
        ours, theirs = owners.get(i, set()), owners.get(j, set())
        return (
            0
            if i == j
            else len(ours & theirs) / (np.sqrt(len(ours) * len(theirs)) + SHRINKAGE)
            if ours and theirs
            else 0
        )

    for batch in built.data.test:
        scores = built.model.full_sort_predict(batch[0])
        for row, user in enumerate(batch[0]["user_id"].tolist()[:5]):
            history = users[user][:-1][::-1]
            expected = [
                sum(DECAY**age * similarity(i, j) for age, j in enumerate(history)) for i in range(built.model.n_items)
            ]
            torch.testing.assert_close(scores[row], torch.tensor(expected, dtype=torch.float32), rtol=1e-4, atol=1e-5)
        targets = batch[0]["item_id"]
        torch.testing.assert_close(built.model.predict(batch[0]), scores.gather(1, targets.unsqueeze(1)).squeeze(1))


def test_it_runs_and_loads(tiny_keys, tmp_path):
    result = experiment.run("SequenceKNN", "tiny", (), {**tiny_keys, "epochs": 1, "run_dir": str(tmp_path / "run")})
    assert result["warnings"] == [] and result["protocol"]["history"]["test"] == "masked"
    assert experiment.evaluate(tmp_path / "run")["test"] == result["test"]
    epoch, _ = read_history(tmp_path / "run")  # an epoch without a step
    assert epoch["loss"] == {"recommendation": 0.0}


@pytest.mark.parametrize("keys", [{"knn_decay": 0}, {"knn_decay": 1.1}, {"knn_neighbours": 0}, {"knn_shrinkage": -1}])
def test_values_are_checked(build, keys):
    with pytest.raises(InputError, match=f"{next(iter(keys))}="):
        build("SequenceKNN", **keys)
