import json
import math

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.io.content_hash import content_hash
from recbole_sda.io.safe_checkpoint import read_safe_checkpoint, write_safe_checkpoint

STATE = {
    "epoch": 3,
    "model": "BPR",
    "state_dict": {
        "a.weight": torch.arange(6.0).reshape(2, 3),
        "half": torch.ones(2, dtype=torch.float16),
        "n": torch.tensor(7),
    },
    "other_parameter": None,
    "attributes": {"model.by_id": {1: [0.5, math.inf], 2: []}, "model.flag": True, "odd": {"tensor": "x"}, "empty": {}},
}


@pytest.fixture
def files(tmp_path):
    write_safe_checkpoint(STATE, tmp_path / "best.safetensors", tmp_path / "best.json")
    return tmp_path / "best.safetensors", tmp_path / "best.json"


def test_round_trip(files):
    state = read_safe_checkpoint(*files)
    assert content_hash(state) == content_hash(STATE)
    assert state["attributes"]["model.by_id"] == {1: [0.5, math.inf], 2: []}
    assert state["state_dict"]["half"].dtype == torch.float16 and state["state_dict"]["n"].shape == ()


def test_shared_memory_is_written_twice(tmp_path):
    weight = torch.ones(3)
    write_safe_checkpoint({"a": weight, "b": weight[:2]}, tmp_path / "t", tmp_path / "r")
    assert read_safe_checkpoint(tmp_path / "t", tmp_path / "r")["b"].tolist() == [1, 1]


def test_a_flipped_bit_is_found(files):
    content = bytearray(files[0].read_bytes())
    content[-1] ^= 1
    files[0].write_bytes(content)
    with pytest.raises(InputError, match="are not the ones that were written"):
        read_safe_checkpoint(*files)


def test_a_changed_number_is_found(files):
    files[1].write_text(files[1].read_text().replace('["epoch", 3]', '["epoch", 4]'))
    with pytest.raises(InputError, match="are not the ones that were written"):
        read_safe_checkpoint(*files)


@pytest.mark.parametrize(
    "value, message",
    [
        ({"tensor": "missing"}, "that its safetensors file lacks"),
        ({"tensor": [1]}, "expected a dict, float or tensor"),
        ({"dict": [["a"]]}, "expected a dict, float or tensor"),
        ({"dict": [[["a"], 1]]}, "expected a dict, float or tensor"),
        ({"float": "12"}, "expected a dict, float or tensor"),
        ({"pickle": "x"}, "expected a dict, float or tensor"),
        ({}, "expected a dict, float or tensor"),
    ],
)
def test_other_forms_are_refused(files, value, message):
    content = json.loads(files[1].read_text())
    content["state"] = {"dict": [["x", value]]}
    files[1].write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_safe_checkpoint(*files)


@pytest.mark.parametrize(
    "value, message",
    [(torch.eye(2).to_sparse(), "a sparse tensor"), ({(1, 2): 3}, "a key of the type tuple"), (object(), "a object")],
)
def test_what_has_no_form(tmp_path, value, message):
    with pytest.raises(InputError, match=message):
        write_safe_checkpoint({"x": value}, tmp_path / "t", tmp_path / "r")
