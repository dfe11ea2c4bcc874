"""The encoder as ONNX: its query vectors times the items are the scores of the run, in ONNX Runtime and without this package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recbole_sda.cli.main import main
from recbole_sda.engine.ensemble import ensemble
from recbole_sda.recommend import onnx_export
from recbole_sda.recommend.recommender import Recommender

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "serving.md"
MODELS = {  # model -> keys that change its scores
    "GRU4Rec": {},
    "GRU4Rec_SDA": {"logit_temperature": 0.1},
    "SASRec": {"logit_temperature": 0.05},
    "SASRec_SDA": {},
    "BERT4Rec": {},
    "BERT4Rec_SDA": {"logit_temperature": 0.1, "cold_items": 0.2},
}
FAST = ("GRU4Rec_SDA", "BERT4Rec_SDA")


def encoded(folder, histories):
    """Return scores of histories from the files in a folder alone."""
    import onnxruntime

    length = json.loads((folder / "index.json").read_text())["encoder"]["max_length"]
    number = {token: k for k, token in enumerate((folder / "item_ids.txt").read_text().split(), 1)}
    items = np.zeros((len(histories), length), np.int64)
    for row, history in enumerate(histories):
        last = [number[token] for token in history[-length:]]
        items[row, : len(last)] = last
    session = onnxruntime.InferenceSession(str(folder / "encoder.onnx"))
    lengths = np.array([min(len(history), length) for history in histories])
    (queries,) = session.run(None, {"item_ids": items, "lengths": lengths})
    return queries @ np.load(folder / "items.npy").T


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A function: model -> the folder of its export, made once."""
    pytest.importorskip("onnxruntime"), pytest.importorskip("onnxscript")
    made = {}

    def export(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("onnx") / "exported"
            assert main(["export", str(trained(name, **MODELS[name])), "--form=onnx", f"--out={made[name]}"]) == 0
        return made[name]

    return export


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_scores_are_those_of_the_run(trained, exported, name):
    folder = exported(name)
    recommender = Recommender(trained(name, **MODELS[name]))
    users = list(recommender.user_ids)
    expected = recommender.scores(users).to_numpy()
    histories = [recommender.history(user) for user in users]
    assert max(map(len, histories)) > 8 > min(map(len, histories))
    tolerance = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(encoded(folder, histories), expected, atol=tolerance, rtol=0)
    one = encoded(folder, histories[3:4])  # another size of the batch
    np.testing.assert_allclose(one, expected[3:4], atol=tolerance, rtol=0)
    about = json.loads((folder / "index.json").read_text())
    assert about["encoder"]["largest_difference"] <= 1e-5 * max(1, 1 / MODELS[name].get("logit_temperature", 1))


def test_the_documented_example_reads_it_without_this_package(trained, exported):
    folder = exported("GRU4Rec_SDA")
    (code,) = [part.split("```")[0] for part in DOCUMENT.read_text().split("```python\n")[1:] if "encoder.onnx" in part]
    assert "recbole" not in code and len(code.strip().splitlines()) <= 16
    code = code.replace('["B0000A0AII", "B001AZNATC"]', '["i3", "i7"]')
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=folder.parent)
    recommender = Recommender(trained("GRU4Rec_SDA", **MODELS["GRU4Rec_SDA"]))
    row_of = {token: row for row, token in enumerate(recommender.item_tokens)}
    best = next(recommender.best_of_histories([np.array([row_of["i3"], row_of["i7"]])], 10, repeat=True))
    assert done.stdout.strip() == str(recommender.columns[best.column[0]].tolist()), done.stderr


def test_what_cannot_be_exported(trained, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime"), pytest.importorskip("onnxscript")
    ensemble([trained("SASRec"), "knn:features"], tmp_path / "run", {"ensemble_weights": [1, 0.5]})

    def error(folder):
        assert main(["export", str(folder), "--form=onnx", f"--out={tmp_path / 'out'}"]) == 2
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err.strip().splitlines()[-1]

    sentence = (
        "has no encoder of sequences of items, as SASRec, GRU4Rec, BERT4Rec and their SDA versions have; --form=index "
        "--users=all writes query vectors of users"
    )
    assert error(trained("BPR")) == f"error: {trained('BPR')}: BPR {sentence}"
    assert error(tmp_path / "run") == f"error: {tmp_path / 'run'}: Ensemble {sentence}"
    assert "SRGNN cannot be converted to ONNX (" in error(trained("SRGNN"))
    monkeypatch.setattr(onnx_export, "LARGEST", 1000)
    assert "a file of ONNX has less than 2 GiB; --form=index has no such limit" in error(trained("GRU4Rec"))
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert error(trained("GRU4Rec")) == "error: --form=onnx needs onnxscript: pip install -e '.[onnx]'"


def test_an_encoder_that_differs_is_refused(trained, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime"), pytest.importorskip("onnxscript")
    monkeypatch.setattr(onnx_export, "_converted", lambda encoder, *args: _file_of_another_model(encoder))
    assert main(["export", str(trained("GRU4Rec")), "--form=onnx", f"--out={tmp_path / 'out'}"]) == 2
    assert "the encoder of GRU4Rec differs from torch's by" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def _file_of_another_model(encoder) -> bytes:
    """Return a model with the inputs and outputs of an encoder whose output is the sequence's first numbers."""
    from onnx import TensorProto, checker, helper

    inputs = [
        helper.make_tensor_value_info("item_ids", TensorProto.INT64, ["n", encoder.max_length]),
        helper.make_tensor_value_info("lengths", TensorProto.INT64, ["n"]),
    ]
    output = helper.make_tensor_value_info("query", TensorProto.FLOAT, ["n", encoder.model.embedding_size])
    nodes = [
        helper.make_node("Cast", ["item_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["numbers", "zero", "one", "axis"], ["first"]),
        helper.make_node("Expand", ["first", "shape"], ["query"]),
    ]
    values = {"zero": [0], "one": [1], "axis": [1], "shape": [1, encoder.model.embedding_size]}
    constants = [helper.make_tensor(name, TensorProto.INT64, [len(v)], v) for name, v in values.items()]
    model = helper.make_model(helper.make_graph(nodes, "other", inputs, [output], constants), ir_version=10)
    model.opset_import[0].version = 18
    checker.check_model(model)
    return model.SerializeToString()
