"""Files of a run folder."""

import json

import pytest

from recbole_sda.engine.run_folder import make_run_dir, read_metrics, with_current_names
from recbole_sda.errors import InputError


def test_run_folders_of_one_second_differ(tmp_path):
    config = {"run_dir": None, "runs_path": str(tmp_path), "model": "BPR", "dataset": "d", "seed": 1}
    assert len({make_run_dir(config) for _ in range(3)}) == 3


@pytest.mark.parametrize("config, message", [
    ({"run_dir": "{file}"}, "run_dir=.*file is a file; expected a folder"),
    ({"run_dir": None, "runs_path": ""}, "runs_path='': expected a folder"),
])  # fmt: skip
def test_what_cannot_be_a_run_folder(tmp_path, config, message):
    (tmp_path / "file").touch()
    config = {key: value and value.format(file=tmp_path / "file") for key, value in config.items()}
    with pytest.raises(InputError, match=message):
        make_run_dir(config)


RESULT = {
    "model": "BPR",
    "dataset": "tiny",
    "protocol": {"loss": "BPR", "split": "x", "evaluation": {"test": "full sort"}, "items": 9, "selection": "x"},
    "test": {"hit@5": 0.5},
    "groups": {},
    "seconds": {"training": 1.5, "training_and_validation_since_start": None},
    "best_epoch": 1,
    "epochs_run": 2,
    "parameters": 3,
    "environment": {"torch": "2"},
}


def test_groups_of_earlier_versions_are_renamed(tmp_path):
    groups = {"test": {"items": {"fifth 1": {"hit@5": 0.5}, "tail": {}}, "users": {"fifth 5": {}}, "limits": {}}}
    expected = {
        "test": {"items": {"quintile 1": {"hit@5": 0.5}, "tail": {}}, "users": {"quintile 5": {}}, "limits": {}}
    }
    (tmp_path / "metrics.json").write_text(json.dumps({**RESULT, "groups": groups}))
    assert read_metrics(tmp_path) == {**RESULT, "groups": expected}
    assert with_current_names({"test": {}}) == {"test": {}}


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "metrics.json is damaged"),
        ("3", "metrics.json: 3: expected an object"),
        ('{"model": "BPR"}', "metrics.json lacks 'dataset'"),
        (
            json.dumps({**RESULT, "test": {"hit@5": "x"}}),
            "metrics.json: test: hit@5: 'x': expected a whole number or a number or null",
        ),
        (json.dumps({**RESULT, "groups": {"test": []}}), "metrics.json: groups: test: a list: expected an object"),
        (json.dumps(RESULT)[:-1] + ', "model": "BPR"}', "the key 'model' occurs twice"),
        (json.dumps({**RESULT, "test": {"hit@5": float("nan")}}), "NaN is no finite number"),
    ],
)
def test_damaged_metrics(tmp_path, text, message):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(InputError, match=f"{message}.*; remove it, and --resume="):
        read_metrics(tmp_path)
