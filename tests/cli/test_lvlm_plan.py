"""The command ``lvlm plan``: its table, its JSON and its messages."""

import json

import pytest

from recbole_sda.cli.lvlm import main
from recbole_sda.lvlm.tiny import make_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny("qwen2_5_vl", tmp_path_factory.mktemp("plan") / "model")


def test_table_and_json(model, tmp_path, capsys):
    out = tmp_path / "plan.json"
    keys = [
        "--n_items=60",
        "--batch_size=2",
        "--steps=10",
        "--dtype=float32",
        "--max_pixels=784",
        "--tflops=2",
        "--utilisation=0.5",
    ]
    assert main(["plan", f"--backbone={model}", f"--out={out}", *keys]) == 0
    plan, text = json.loads(out.read_text()), capsys.readouterr().out
    assert plan["adapt"]["hours"] == pytest.approx(plan["adapt"]["flops"] / 1e12 / 3600)
    assert plan["adapt"]["memory"]["checkpointed"]["flops_per_step"] > plan["adapt"]["memory"]["kept"]["flops_per_step"]
    assert "an assumption" in text and f"{plan['adapters']['moda']['parameters']:,}" in text


@pytest.mark.parametrize(
    "keys, message",
    [
        ([], "give either --items=items.jsonl or --n_items=N"),
        (["--n_items=3", "--items=x"], "give either --items"),
        (["--n_items=none"], "n_items='none': expected a whole number"),
        (["--n_items=60", "--tflops=0"], "tflops=0: expected a number above 0"),
        (["--n_items=60", "--utilisation=2"], "utilisation=2: expected a number above 0 and at most 1"),
        (["--n_items=60", "--method=none"], "method=none adapts nothing"),
        (["--n_items=60", "--measure=1"], "measure=1: expected true or false"),
        (["--n_itmes=60"], "'n_itmes' is not a key of the LVLM stage"),
        (["--items=missing.jsonl"], "missing.jsonl"),
    ],
)
def test_messages(model, capsys, keys, message):
    assert main(["plan", f"--backbone={model}", *keys]) == 2
    assert message in capsys.readouterr().err


def test_a_backbone_is_needed(capsys):
    assert main(["plan", "--n_items=60"]) == 2
    assert "backbone is missing" in capsys.readouterr().err
    assert main(["plan", "--n_items=60", "--backbone=./nowhere"]) == 2
    assert "the folder does not exist" in capsys.readouterr().err
