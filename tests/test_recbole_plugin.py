"""The package's models through RecBole's own functions: names, defaults, training, loading."""

import logging
import pickle

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.quick_start import load_data_and_model, run_recbole
from recbole.utils import get_model, get_trainer
from recbole.utils.case_study import full_sort_topk
from recbole.utils.enum_type import ModelType

from recbole_sda.model.registry import list_models, model_class

KEYS = {
    "epochs": 2,
    "train_batch_size": 64,
    "MAX_ITEM_LIST_LENGTH": 8,
    "use_gpu": False,
    "gpu_id": "",
    "metrics": ["Hit", "NDCG"],
    "topk": [5, 10],
    "valid_metric": "NDCG@10",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "show_progress": False,
}
CE = {"train_neg_sample_args": None}


@pytest.fixture
def config_dict(data_path, tmp_path, monkeypatch):
    """Keys of a short run through RecBole; it writes logs and checkpoints below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["python"])
    handlers = logging.getLogger().handlers[:]
    yield {**KEYS, "data_path": str(data_path), "checkpoint_dir": str(tmp_path / "saved")}
    logging.getLogger().handlers[:] = handlers


@pytest.mark.parametrize("name", list_models())
def test_recbole_finds_every_model(name):
    assert get_model(name) is model_class(name)


def test_recbole_finds_its_own_models_as_before():
    assert get_model("SASRec").__module__ == "recbole.model.sequential_recommender.sasrec"
    with pytest.raises((ValueError, ImportError)):  # RecBole looks among the models of lightgbm and xgboost last
        get_model("SASRek")
    assert get_trainer(ModelType.GENERAL, "RecVAE_SDA").__name__ == "RecVAETrainer"


def test_recbole_s_configuration_has_the_package_s_defaults(config_dict):
    config = Config("SASRec_SDA", "tiny", config_dict={**config_dict, **CE})
    assert config["n_layers"] == 2 and config["moda_rank"] == 8 and config["feature_views"] == ["center", "l2"]
    assert config["sparse_updates"] is False  # RecBole's optimizers refuse sparse gradients
    paper = Config("SASRec_SDA", "tiny", config_dict={**config_dict, **CE, "preset": "paper"})
    assert paper["item_encoder"] == "linear"
    assert Config("SASRec", "tiny", config_dict={**config_dict, **CE})["moda_rank"] is None


@pytest.mark.parametrize(
    "model, more",
    [
        ("SASRec_SDA", {}),
        ("BERT4Rec_SDA", CE),
        ("GRU4Rec_SDA", {"loss_type": "BPR"}),
        ("BPR_SDA", {}),
        ("VBPR", {}),
        ("SequenceKNN", {}),
        ("BM3_SDA", {}),
    ],
)
def test_run_recbole(model, more, config_dict, tmp_path):
    result = run_recbole(model=model, dataset="tiny", config_dict={**config_dict, **more})
    assert set(result["test_result"]) == {"hit@5", "hit@10", "ndcg@5", "ndcg@10"}
    (file,) = (tmp_path / "saved").glob(f"{model}-*.pth")
    config, loaded, dataset, _, _, test = load_data_and_model(str(file))
    assert type(loaded) is model_class(model) and config["model"] == model
    users = dataset.token2id(dataset.uid_field, ["u1", "u2"])
    scores, items = full_sort_topk(users, loaded, test, k=5)
    assert scores.shape == items.shape == (2, 5) and torch.isfinite(scores).all() and (items > 0).all()


def test_training_counts_are_those_of_our_own_runs(config_dict, build):
    """Weights by popularity read the counts of the training part; RecBole gives a model that part alone."""
    built = build("SASRec_SDA", id_shrinkage=2.0)
    expected = built.data.counts.items
    config = Config("SASRec_SDA", "tiny", config_dict={**config_dict, **CE, "id_shrinkage": 2.0})
    from recbole.data import create_dataset, data_preparation

    train, _, _ = data_preparation(config, create_dataset(config))
    np.testing.assert_array_equal(train._dataset.training_counts.items, expected)


@pytest.mark.parametrize("name", ["SASRec_SDA", "SASRec", "FREEDOM_SDA", "FREEDOM"])
def test_classes_are_pickled_by_name(name):
    assert pickle.loads(pickle.dumps(model_class(name))) is model_class(name)


def test_a_model_is_pickled_with_its_weights(build):
    model = build("BPR_SDA").model.eval()
    twin = pickle.loads(pickle.dumps(model))
    assert isinstance(twin, model_class("BPR_SDA"))
    torch.testing.assert_close(twin.items.weight, model.items.weight)
