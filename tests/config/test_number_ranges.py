"""Numbers of RecBole's keys: finite, bounded, and whole where they count something."""

import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.errors import InputError


@pytest.mark.parametrize(
    "model, key, value",
    [
        ("SASRec", "seed", 10**20),
        ("SASRec", "seed", 2**32),
        ("SASRec", "seed", -1),
        ("SASRec", "seed", 1.5),
        ("SASRec", "seed", True),
        ("SASRec", "threads", 10**6),
        ("SASRec", "epochs", 10**400),
        ("SASRec", "epochs", float("inf")),
        ("SASRec", "train_batch_size", float("nan")),
        ("SASRec", "learning_rate", float("inf")),
        ("SASRec", "hidden_size", 0),
        ("SASRec", "hidden_size", 10**9),
        ("SASRec", "hidden_size", "64"),
        ("SASRec", "hidden_size", [64]),
        ("SASRec", "n_layers", 0),
        ("SASRec", "n_heads", 0),
        ("SASRec", "hidden_dropout_prob", 2),
        ("SASRec", "hidden_dropout_prob", float("nan")),
        ("SASRec", "layer_norm_eps", -1e-3),
        ("SASRec", "initializer_range", float("inf")),
        ("LightGCN", "embedding_size", -4),
        ("LightGCN", "reg_weight", float("nan")),
        ("LightGCN", "n_layers", -1),
        ("NeuMF", "mlp_hidden_size", [64, 0]),
    ],
)
def test_refused(model, key, value):
    with pytest.raises(InputError, match=f"{key}=.*expected ") as caught:
        RunConfig(model, "Amazon_Sports-sample", (), {key: value})
    assert "\n" not in str(caught.value)


def test_whole_numbers_written_as_floats_become_whole():
    config = RunConfig("LightGCN", "Amazon_Sports-sample", (), {"seed": 7.0, "embedding_size": 32.0, "n_layers": 0})
    assert [type(config[key]) for key in ("seed", "embedding_size")] == [int, int] and config["n_layers"] == 0
