import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from transformers import AutoModelForImageTextToText

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.extraction import Extractor, run_extraction

PROCESS = """
import sys, json, torch
torch.set_num_threads(1)
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.settings import read_settings
run_extraction(read_settings((), json.loads(sys.argv[1])), sys.argv[2])
"""


def matrices(path):
    store = FeatureStore(path)
    return {name: store.matrix(name).float() for name in store.modalities}


def keys_of(settings):
    return json.dumps({k: v for k, v in settings.plain().items() if v is not None})


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3", "clip", "llava_onevision"])
def test_the_store_holds_each_item_at_its_id(stage, tmp_path, family):
    settings = stage(family, store_dtype="float32", shard_items=7, token_budget=300)
    store = FeatureStore(run_extraction(settings, tmp_path / "store"))
    extractor = Extractor(settings)
    assert store.item_ids == [f"i{k}" for k in range(40)]
    assert list(store.modalities) == (["text"] if family == "qwen3" else ["image", "text"])
    for name in store.modalities:
        plan = extractor.plan.modalities[name]
        assert store.present(name).sum() == len(plan.items)
        with torch.no_grad():
            for row in (0, 17, len(plan.items) - 1):
                batch = plan.inputs.batch(extractor.backbone.processor, [row])
                alone = encode(extractor.backbone, None, batch, name, "mean")
                assert torch.allclose(store.matrix(name)[plan.items[row]], alone[0], atol=3e-6)
    assert not (tmp_path / "store.partial").exists()


def test_the_manifest_says_where_vectors_come_from(stage, tmp_path):
    settings = stage(pooling="last", truncate_dim=8, l2=True)
    store = FeatureStore(run_extraction(settings, tmp_path / "store"))
    m = store.manifest
    assert m["encoder"]["model"] == "qwen2_5_vl" and m["encoder"]["adapter"] is None and m["pooling"] == "last"
    assert m["inputs"]["text"]["items"] == 40 and m["inputs"]["text"]["distinct"] < 40
    assert m["modalities"]["image"] == {"dim": 8, "dtype": "float16", "present": 36, "missing": 4}
    assert torch.allclose(store.matrix("text").float().norm(dim=1), torch.ones(40), atol=2e-3)


@pytest.mark.parametrize("method", ["moda", "lora", "two_lora"])
def test_merged_equals_unmerged(stage, random_adapter, tmp_path, method):
    keys = {"adapter": str(random_adapter(method, tmp_path / "run")), "store_dtype": "float32"}
    merged, beside, bare = (
        matrices(run_extraction(stage(**k), tmp_path / name))
        for name, k in (("m", keys), ("u", {**keys, "merge": False}), ("b", {"store_dtype": "float32"}))
    )
    for name in ("image", "text"):
        assert torch.allclose(merged[name], beside[name], atol=2e-5)
        assert not torch.allclose(merged[name], bare[name], atol=1e-2)


def test_extraction_goes_on_after_a_kill(stage, tmp_path):
    settings = stage(shard_items=1, store_dtype="float32", token_budget=50)
    expected = matrices(run_extraction(settings, tmp_path / "whole"))
    script = tmp_path / "run.py"
    script.write_text(PROCESS)
    process = subprocess.Popen(
        [sys.executable, str(script), keys_of(settings), str(tmp_path / "cut")], stderr=subprocess.DEVNULL
    )
    partial = tmp_path / "cut.partial"
    while len(list(partial.glob("*.safetensors"))) < 10 and process.poll() is None:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = {path: path.stat().st_mtime_ns for path in partial.glob("*.safetensors")}
    assert 10 <= len(there) < 65 and not (tmp_path / "cut").exists()
    with pytest.raises(InputError, match="pooling: mean -> last"):
        run_extraction(stage(shard_items=1, store_dtype="float32", pooling="last"), tmp_path / "cut")
    assert {path: path.stat().st_mtime_ns for path in there} == there
    found = matrices(run_extraction(settings, tmp_path / "cut"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_two_processes_equal_one(two_processes, tmp_path):
    expected = matrices(run_extraction(two_processes.extraction, tmp_path / "one"))
    found = matrices(two_processes.extracted)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_vectors_beyond_float16_are_not_lost(stage, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_sda.lvlm.extraction.encode", lambda *_: torch.full((1, 32), 1e5))
    with pytest.raises(InputError, match="reach 1e.05, above float16.*store_dtype=float32"):
        run_extraction(stage(token_budget=1), tmp_path / "store")
    assert (
        matrices(run_extraction(stage(token_budget=1, store_dtype="float32"), tmp_path / "store"))["text"].max() == 1e5
    )


def test_errors(stage, tmp_path, catalogue_file):
    (tmp_path / "store").mkdir()
    with pytest.raises(InputError, match="exists already"):
        run_extraction(stage(), tmp_path / "store")
    with pytest.raises(InputError, match="adapter=.*neither"):
        run_extraction(stage(adapter=str(tmp_path)), tmp_path / "other")
    empty = tmp_path / "items.jsonl"
    empty.write_text('{"item_id": "a", "title": ""}\n')
    with pytest.raises(InputError, match="no item has a modality that"):
        run_extraction(stage(items=str(empty)), tmp_path / "other")


def test_an_adapter_belongs_to_its_backbone(stage, tiny, tmp_path):
    """Also where names and shapes fit, or some of them do."""
    run_adaptation(stage(steps=2), tmp_path / "run")
    for change in ("weights", "layers"):
        model = AutoModelForImageTextToText.from_pretrained(tiny("qwen2_5_vl"))
        if change == "weights":
            next(model.parameters()).data.add_(1.0)
        else:
            model.model.language_model.layers = model.model.language_model.layers[:1]
            model.config.text_config.num_hidden_layers = 1
            model.config.text_config.layer_types = model.config.text_config.layer_types[:1]
        other = shutil.copytree(tiny("qwen2_5_vl"), tmp_path / change)
        model.save_pretrained(other)
        with pytest.raises(InputError, match="was trained on .* with (config|weights)_sha256"):
            Extractor(stage(backbone=str(other), adapter=str(tmp_path / "run")))
    alone = shutil.copytree(tmp_path / "run/adapter", tmp_path / "without-a-record")
    with pytest.raises(InputError, match="does not fit this backbone: .* tensors exist only in"):
        Extractor(stage(backbone=str(other), adapter=str(alone)))
