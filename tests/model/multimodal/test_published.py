"""The protocol of published splits: the metrics of a run, counted by hand from the split's own files."""

import numpy as np
import pandas as pd
import pytest
import torch

from dataset_prep.__main__ import main
from recbole_sda.config.run_config import RunConfig
from recbole_sda.engine import experiment
from recbole_sda.features.store import write_store

K = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A split in MMRec's form, prepared, with features of the items by number."""
    root, rng = tmp_path_factory.mktemp("published"), np.random.default_rng(0)
    rows = []
    for user in range(30):
        items = rng.permutation(25)[: rng.integers(6, 14)]
        labels = np.zeros(len(items), dtype=int)
        labels[-2:], labels[-4:-2] = 2, 1  # two each for validation and test
        rows += [(user, item, 1.0, t, label) for t, (item, label) in enumerate(zip(items, labels))]
    names = ["userID", "itemID", "rating", "timestamp", "x_label"]
    pd.DataFrame(rows, columns=names).to_csv(root / "baby.inter", sep="\t", index=False)
    assert main(["mmrec", "--inter", str(root / "baby.inter"), "--name", "Baby", "--out", str(root)]) == 0
    features = {name: rng.normal(size=(25, dim)).astype(np.float32) for name, dim in (("image", 8), ("text", 5))}
    write_store(root / "Baby/features/given", [str(k) for k in range(25)], features)
    return root


@pytest.mark.parametrize("masked", [False, True], ids=["MMRec", "as RecBole"])
def test_metrics_are_those_of_the_published_protocol(folder, tmp_path, masked):
    """Full sort without training items, in MMRec with the validation items; recall over all test items; best validation recall."""
    keys = {"data_path": str(folder), "run_dir": str(tmp_path / "run"), "epochs": 3, "use_gpu": False, "threads": 1}
    keys |= {
        "benchmark_filename": ["train", "valid", "test"],
        "metrics": ["Recall", "NDCG"],
        "topk": [K],
        "mask_validation": masked,
    }
    result = experiment.run("FREEDOM", "Baby", (), {**keys, "valid_metric": f"Recall@{K}", "knn_k": 3})
    run = experiment.load(tmp_path / "run")
    dataset, model = run.data.dataset, run.model.eval()
    with torch.no_grad():
        user, item = model.embeddings()
        scores = (user @ item.T).numpy()
    split = pd.read_csv(folder / "baby.inter", sep="\t").astype({"userID": str, "itemID": str})
    recalls, gains = [], []
    for token, lines in split.groupby("userID"):
        row = scores[dataset.token2id("user_id", token)].copy()
        row[0] = -np.inf
        row[[dataset.token2id("item_id", i) for i in lines["itemID"][lines["x_label"] < 1 + masked]]] = -np.inf
        wanted = {dataset.token2id("item_id", i) for i in lines["itemID"][lines["x_label"] == 2]}
        hits = [k in wanted for k in np.argsort(-row)[:K]]
        recalls.append(sum(hits) / len(wanted))
        best = sum(1 / np.log2(k + 2) for k in range(min(K, len(wanted))))
        gains.append(sum(hit / np.log2(k + 2) for k, hit in enumerate(hits)) / best)
    assert result["test"][f"recall@{K}"] == pytest.approx(np.mean(recalls), abs=1e-6)
    assert result["test"][f"ndcg@{K}"] == pytest.approx(np.mean(gains), abs=1e-6)
    assert result["protocol"]["selection"] == f"Recall@{K} on validation data"
    assert result["protocol"]["evaluation"] == {"valid": "full sort", "test": "full sort"}
    assert result["protocol"]["history"] == {
        "valid": "masked",
        "test": "masked" if masked else "masked except the validation items",
    }
    other = experiment.evaluate(tmp_path / "run", {"mask_validation": not masked})
    recall = {masked: result["test"][f"recall@{K}"], not masked: other["test"][f"recall@{K}"]}
    assert other["valid"] == result["valid"] and recall[True] >= recall[False]


def test_published_settings_hold_for_their_data_set_alone(data_path):
    values = {name: RunConfig("SMORE", name, (), {"data_path": str(data_path)}) for name in ("Amazon_Baby", "tiny")}
    assert values["Amazon_Baby"]["knn_k"] == {"image": 40, "text": 15} and values["Amazon_Baby"]["feature_views"] == []
    assert values["tiny"]["knn_k"] == 10 and values["tiny"]["published"] is None
    given = RunConfig("SMORE_SDA", "Amazon_Baby", (), {"data_path": str(data_path), "n_ui_layers": 1})
    assert given["n_ui_layers"] == 1 and given["dropout_rate"] == 0.1
