"""The key id_codes with a file: the codes of the command are those that the key computes, and wrong files are named."""

import json

import pytest
import torch

from recbole_sda.cli.main import main
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.model.item_features import item_tokens

SIZES = {"id_shrinkage": 2.0, "item_encoder": "identity", "cmsa_weight": 0.0}


@pytest.fixture
def codes_file(data_path, tmp_path):
    """The semantic ids of the store of ``tiny``."""
    out = tmp_path / "codes.json"
    words = ["semantic-ids", str(data_path / "tiny/features/random"), "--levels", "2", "--codes", "4", "3"]
    assert main(["features", *words, "--out", str(out)]) == 0
    return out


def code_rows(built):
    return next(module for module in built.model.modules() if type(module).__name__ == "CodeRows")


def test_a_file_and_its_sizes_give_the_same_model(build, codes_file):
    from_sizes = build("SASRec_SDA", **SIZES, id_codes=[4, 3])
    from_file = build("SASRec_SDA", **SIZES, id_codes=str(codes_file))
    assert torch.equal(code_rows(from_sizes).codes, code_rows(from_file).codes)
    assert from_file.config["id_codes"] == str(codes_file)
    for (name, first), (_, second) in zip(from_sizes.model.state_dict().items(), from_file.model.state_dict().items()):
        assert torch.equal(first, second), name


def test_items_that_the_file_lacks_have_no_code(build, codes_file):
    content = json.loads(codes_file.read_text())
    left_out = sorted(content["codes"])[:5]
    content["codes"] = {item: codes for item, codes in content["codes"].items() if item not in left_out}
    codes_file.write_text(json.dumps(content))
    built = build("BPR_SDA", **SIZES, id_codes=str(codes_file))
    rows = [item_tokens(built.data.train._dataset).index(item) for item in left_out]
    assert (code_rows(built).codes[rows] == -1).all() and (code_rows(built)()[rows] == 0).all()


def test_a_run_records_the_file(tiny_keys, codes_file, tmp_path):
    keys = {**tiny_keys, "runs_path": str(tmp_path / "runs"), "epochs": 1, "id_codes": str(codes_file)}
    result = experiment.run("BPR_SDA", "tiny", (), keys)
    assert len(result["inputs"]["id_codes"]) == 64
    again = experiment.evaluate(result["run_dir"])
    assert again["test"] == result["test"] and again["inputs"] == result["inputs"]


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "codes.json does not exist"),
        ('{"sizes": [4], "codes": {"a": [5, 0]}}', "expected 1 codes below"),
        ('{"sizes": [4], "codes": {"a": [3, 0]}}', "id_codes=.*codes.json: has none of the data set's items"),
    ],
)
def test_wrong_files(build, tmp_path, content, message):
    path = tmp_path / "codes.json"
    if content:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        build("BPR_SDA", **SIZES, id_codes=str(path))
