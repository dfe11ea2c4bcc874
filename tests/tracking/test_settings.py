import importlib.util

import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.errors import InputError
from recbole_sda.tracking.settings import check_options, check_trackers


@pytest.fixture
def all_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


@pytest.mark.parametrize(
    "value, names", [(None, []), ([], []), ("wandb", ["wandb"]), (["mlflow", "trackio"], ["mlflow", "trackio"])]
)
def test_names(all_installed, value, names):
    assert check_trackers(value) == names


@pytest.mark.parametrize(
    "value, message",
    [
        ("mlfow", "track='mlfow': allowed are mlflow, wandb, trackio. Did you mean 'mlflow'?"),
        (["wandb", "wandb"], "wandb is given twice"),
        ({"wandb": 1}, "expected a list of mlflow, wandb, trackio"),
        (3, "expected a list"),
        ([["wandb"]], "allowed are"),
        (True, "expected a list"),
    ],
)
def test_wrong_names(all_installed, value, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        check_trackers(value)


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"track=mlflow: mlflow is not installed: pip install 'recbole-sda\[mlflow\]'"):
        check_trackers(["mlflow"])


@pytest.mark.parametrize(
    "value, message",
    [
        ({"projet": "x"}, "unknown option 'projet'; .* Did you mean 'project'"),
        ({"project": ["x"]}, "project=.*expected a text, the project of W&B and Trackio"),
        ({"project": ""}, "expected a text"),
        ("project", "expected options with values"),
        ({"tracking_uri": "https://me:secret@mlflow.shop"}, "holds a user or password"),
    ],
)
def test_wrong_options(value, message):
    with pytest.raises(InputError, match=message) as caught:
        check_options(value)
    assert "secret" not in str(caught.value)


def test_options():
    assert check_options(None) == {} and check_options({"project": 3, "group": "x"}) == {"project": "3", "group": "x"}


def test_keys_of_a_run(all_installed, tiny_keys):
    with pytest.raises(InputError, match="track='mlflo'"):
        RunConfig("BPR", "tiny", (), {**tiny_keys, "track": ["mlflo"]})
    config = RunConfig("BPR", "tiny", (), {**tiny_keys, "track": "mlflow", "track_options": {"experiment": "e"}})
    assert config["track"] == ["mlflow"] and config.resolved["track_options"] == {"experiment": "e"}
    assert RunConfig("BPR", "tiny", (), tiny_keys).resolved["track"] == []


def test_recboles_key_for_wandb_becomes_a_tracker(all_installed, tiny_keys, monkeypatch):
    given = {**tiny_keys, "log_wandb": True, "wandb_project": "shop"}
    config = RunConfig("BPR", "tiny", (), given)
    assert config["track"] == ["wandb"] and config["track_options"] == {"project": "shop"}
    assert config["log_wandb"] is False  # RecBole's own logger does nothing
    both = RunConfig("BPR", "tiny", (), {**given, "track": ["wandb"], "track_options": {"project": "mine"}})
    assert both["track"] == ["wandb"] and both["track_options"] == {"project": "mine"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="wandb is not installed"):
        RunConfig("BPR", "tiny", (), given)
