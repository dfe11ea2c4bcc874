"""Planted signal: features that determine the next item beat ids alone, and the same features shuffled do not.

The features place the items on a circle; a user's next item is one that lies a step further. There are few interactions per item,
so that ids alone cannot learn the rule, and features that are shuffled among the items carry no signal.
"""

import numpy as np
import pytest

from recbole_sda.engine import experiment
from recbole_sda.features.store import write_store

N_ITEMS, N_USERS, LENGTH, STEP = 300, 120, 9, 0.7


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    folder = root / "circle"
    folder.mkdir()
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, N_ITEMS)
    with open(folder / "circle.inter", "w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user in range(N_USERS):
            item = int(rng.integers(N_ITEMS))
            for t in range(LENGTH):
                file.write(f"u{user}\ti{item}\t{t}\n")
                distance = np.abs(np.exp(1j * angle) - np.exp(1j * (angle[item] + STEP)))
                item = int(rng.choice(np.argsort(distance)[:12]))
    waves = np.concatenate([f(k * angle)[:, None] for k in (1, 2, 3, 4, 6, 8) for f in (np.cos, np.sin)], axis=1)
    views = {"image": waves @ rng.normal(size=(12, 16)), "text": waves @ rng.normal(size=(12, 24))}
    write_store(
        folder / "features" / "true",
        [f"i{k}" for k in range(N_ITEMS)],
        {k: v.astype(np.float32) for k, v in views.items()},
    )
    return root


@pytest.mark.parametrize("base", ["SASRec", "GRU4Rec"])
def test_right_features_beat_ids_and_shuffled_features_do_not(planted, tmp_path, base):
    keys = {
        "data_path": str(planted), "runs_path": str(tmp_path), "epochs": 15, "learning_rate": 5e-3, "hidden_size": 32,
        "MAX_ITEM_LIST_LENGTH": 8, "train_batch_size": 128, "use_gpu": False, "threads": 1, "inner_size": 64,
        "mask_history": False,  # a full circle of steps comes back: without the known items ids alone have an easier task
    }  # fmt: skip
    if base == "GRU4Rec":
        del keys["inner_size"]

    def ndcg(model, **more):
        return experiment.run(model, "circle", (), {**keys, **more})["test"]["ndcg@10"]

    ids, right = ndcg(base), ndcg(f"{base}_SDA")
    shuffled = ndcg(f"{base}_SDA", shuffle_features=True)
    assert right > 1.5 * ids and right > 1.5 * shuffled
    assert shuffled < 1.1 * ids
