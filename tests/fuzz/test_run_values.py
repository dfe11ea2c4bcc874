"""Malformed values of keys and entries of a training state: refused in one line, never an error of another kind."""

import pytest
import torch
from malformed import VALUES, other_objects

from recbole_sda.config.number_ranges import OF_EVERY_RUN, check_number_ranges
from recbole_sda.config.run_checks import NUMBERS
from recbole_sda.config.run_config import RunConfig
from recbole_sda.engine.checkpoint_state import check_training_state
from recbole_sda.io.yaml import read_yaml
from recbole_sda.validation import ANY, AT_LEAST_ONE

ODD_NUMBERS = [
    *VALUES,
    float("nan"),
    float("inf"),
    -float("inf"),
    10**400,
    10**5000,
    -(10**20),
    1e308,
    "1",
    "inf",
    "0x10",
    b"1",
]


def named(outcomes, tmp_path, key, value, read, *arguments):
    outcomes.try_file(f"{key}={type(value)}", tmp_path / key, read, *arguments)


@pytest.mark.parametrize("whole", [True, False])
def test_a_range_takes_numbers_only(tmp_path, outcomes, whole):
    for value in ODD_NUMBERS:
        for interval in (ANY, AT_LEAST_ONE):
            named(outcomes, tmp_path, "epochs", value, interval.check, "epochs", value, whole)
    outcomes.check(50, 12)


def test_numbers_of_models(tmp_path, outcomes):
    keys = {
        **dict.fromkeys(OF_EVERY_RUN, 1),
        "hidden_size": 64,
        "n_layers": 2,
        "hidden_dropout_prob": 0.5,
        "layer_norm_eps": 1e-12,
    }
    for key in keys:
        for value in ODD_NUMBERS:
            named(outcomes, tmp_path, key, value, check_number_ranges, "SASRec", True, {**keys, key: value})
    outcomes.check(300, 75)  # None is the default of RecBole; 0, 1.5 and lists of numbers are allowed for some


def test_numbers_of_a_configuration(tmp_path, outcomes):
    """The whole configuration of a run."""
    for key in ("seed", "hidden_size", *list(NUMBERS)[:1]):
        for value in (float("nan"), float("inf"), 10**400, -1, "x", [1], {}, True):
            named(outcomes, tmp_path, key, value, RunConfig, "SASRec", "Amazon_Sports-sample", (), {key: value})
    outcomes.check(24, 0)


def test_training_states(tmp_path, outcomes):
    sound = {
        "identity": {"users": "x", "items": "x"},
        "epoch": 1,
        "state_dict": {"w": torch.ones(2)},
        "other_parameter": None,
        "best_epoch": 0,
        "cur_step": 0,
        "best_valid_score": 0.5,
        "best_valid_result": {"hit@5": 0.5},
        "optimizers": {"optimizer": {}},
        "warmup": {"steps": [3], "n_steps": 4},
        "rng": {"python": [], "numpy": [], "torch": torch.ones(2), "cuda": []},
        "batches": [torch.ones(2)],
    }
    path = tmp_path / "last.pt"
    check_training_state(path, sound, {"optimizer": None}, 1)
    for name, state in other_objects(sound):
        outcomes.try_file(name, path, check_training_state, path, state, {"optimizer": None}, 1)
    outcomes.check(
        300, 150
    )  # other_parameter is checked where it is used, and entries of the optimizer by its own reader


def test_configuration_files_with_odd_numbers(tmp_path, outcomes):
    path = tmp_path / "run.yaml"
    for text in (".inf", "-.INF", ".NaN", "1e999", "9" * 50, "-" + "9" * 5000, "1_0e400"):
        path.write_text(f"learning_rate: {text}\n")
        outcomes.try_file(text[:9], path, read_yaml, path)
    outcomes.check(7, 0)
