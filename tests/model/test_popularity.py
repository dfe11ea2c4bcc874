"""Popularity is the number of training interactions, whatever the batches and negatives are."""

from collections import Counter

import numpy as np
import pytest

from recbole_sda.engine.experiment import run


def test_counts_are_those_of_the_training_part(build):
    built = build("Pop", train_batch_size=64)
    training = Counter(built.data.train._dataset.inter_feat["item_id"].tolist())
    assert built.model.item_cnt.squeeze(1).tolist() == [training.get(item, 0) for item in range(38)]
    batch = next(iter(built.data.test))
    scores = built.model.full_sort_predict(batch[0]).view(-1, 38)[0].numpy()
    assert scores.argmax() == training.most_common(1)[0][0] and scores.max() == 1


def test_metrics_are_those_of_the_counts(tiny_keys, tmp_path):
    """Skewed data: the most popular items are right in four of five cases, and are found whatever the size of a batch is."""
    folder = tmp_path / "data" / "skewed"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        items = [*rng.permutation(5)[:4], *(5 + rng.permutation(55)[:4])]
        rows += [f"u{user}\ti{item}\t{time}" for time, item in enumerate(rng.permutation(items))]
    (folder / "skewed.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(rows) + "\n")
    found = []
    for size in (64, 1000):
        keys = {
            **tiny_keys,
            "data_path": str(tmp_path / "data"),
            "runs_path": str(tmp_path / "runs"),
            "train_batch_size": size,
        }
        found.append(run("Pop", "skewed", (), keys)["test"]["hit@5"])
    assert found[0] == found[1] == pytest.approx(0.5, abs=0.15)
