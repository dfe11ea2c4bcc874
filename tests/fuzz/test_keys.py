"""Values of keys that no run can use: refused in one line with the key, when the configuration is made."""

import pytest

from recbole_sda.config.run_config import RunConfig

REFUSED = {
    "topk": [0, [-1], [1.5], ["x"], {}, []],
    "metrics": [["Nope"], 3, [["Hit"]], None],
    "valid_metric": [3, "NDCG", "NDCG@x", None],
    "eval_args": [3, {"order": "RO"}, {"mode": 3}, {"split": 3}, {"split": {"RS": [1, 2]}}, {"group_by": 3}],
    "encoding": ["x", "rot13", 3, None],
    "field_separator": [3, None, ""],
    "USER_ID_FIELD": [None, 3, ["a"]],
    "run_dir": [3, ["a"], True, ""],
    "runs_path": [3, ["a"]],
    "hidden_act": ["x", 3, ["gelu"]],
    "softmax_proposal": ["x", 3, None, ["uniform"]],
    "softmax_negatives": [0, -1, "x", 1.5],
    "logit_temperature": [0, -1, "x"],
    "popularity_adjustment": [-1, 2, "x"],
    "threads": [0, -1, "x", [1], 10**6],
    "hidden_size": [0, -1, "x", [64], 2**40],
    "n_layers": [0, -1, "x", 1001],
    "inner_size": [0, "x", 1e30],
    "eval_negatives_seed": [-1, "x", 1e30],
    "warmup_epochs": [-1, "x", 1e30],
    "train_batch_size": [0, -1, "x", 1.5, 1e30],
    "cold_items": [-1, 1, "x", [1], {"a": 1}],
    "rare_item_decay": [-1, "x", 1e30],
    "gpu_id": ["x", ["a"], {}, -1],
    "data_path": [3, ["a"], None],
    "load_col": [3, {"inter": 3}, {"inter": [["user_id"]]}],
}


def test_values_of_keys(tmp_path, tiny_keys, outcomes):
    for key, values in REFUSED.items():
        for value in values:
            outcomes.try_file(
                f"{key}={value!r}", tmp_path / key, RunConfig, "SASRec", "tiny", (), {**tiny_keys, key: value}
            )
    outcomes.check(90, 0)


@pytest.mark.parametrize(
    "key, values",
    [
        ("moda_rank", (-4, 3, 2**30, "x")),
        ("encoder_lr_factor", (0, 1e12, "x")),
        ("moda_alpha", (0, 1e30)),
        ("id_shrinkage", (-1, 1e30)),
        ("cmsa_temperature", (0, 1e30)),
        ("id_neighbours", (0, 1e12, 1.5)),
    ],
)
def test_values_of_sda(tmp_path, tiny_keys, outcomes, key, values):
    from recbole_sda.model.settings import SDASettings

    for value in values:
        config = RunConfig("SASRec_SDA", "tiny", (), {**tiny_keys, key: value})
        outcomes.try_file(f"{key}={value!r}", tmp_path / key, SDASettings.from_config, config)
    outcomes.check(len(values), 0)
