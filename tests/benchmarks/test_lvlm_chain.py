"""The chain of pre-training, adaptation and recommendation on invented data."""

import importlib
import json

import pytest
import torch
from PIL import Image

from recbole_sda.data.dataset_choice import ensure_sample
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.record import read_record
from recbole_sda.lvlm.settings import read_settings


@pytest.fixture
def chain(script):
    return script("lvlm_chain")


def test_steps_are_done_once_and_kept(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "ensure_sample", lambda *_: None)
    (tmp_path / "model").mkdir()
    first = chain.Chain(tmp_path, 10, 10)
    assert first.once("run MoDA 1", lambda: {"hit@10": 0.5, "ndcg@10": 0.25}) == {"hit@10": 0.5, "ndcg@10": 0.25}
    again = chain.Chain(tmp_path, 10, 10)
    assert again.once("run MoDA 1", lambda: pytest.fail("done before"))["hit@10"] == 0.5
    again.once("run MoDA 2", lambda: {"hit@10": 0.7, "ndcg@10": 0.35})
    text = chain.table(json.loads((tmp_path / "results.json").read_text()), [1, 2])
    assert "0.6000 ± 0.1414" in text and "0.3000 ± 0.0707" in text and "unadapted" not in text


def test_rows_have_equal_numbers_of_trainable_weights(chain, tmp_path, monkeypatch):
    from recbole_sda.lvlm.planner import Planner

    pretrained = importlib.import_module("lvlm_pretrain")
    pretrained.write_model(tmp_path, pretrained.invented(), 0)
    counts = {}
    for row, keys in chain.ROWS.items():
        if row in ("LoRA", "two LoRAs", "MoDA"):
            given = {"backbone": str(tmp_path), "dtype": "float32", "batch_size": 2, **keys}
            given |= {} if row == "MoDA" else {"experts": 1}
            settings = read_settings((), given)
            counts[row] = Planner(settings, 10, 20).adapter(settings.method)["parameters"]
    assert max(counts.values()) / min(counts.values()) < 1.03


def test_captions_name_the_colours_of_the_thirds_of_an_image(chain):
    pretrained = importlib.import_module("lvlm_pretrain")
    image = Image.new("RGB", (92, 138), (0, 0, 0))
    image.paste((210, 40, 20), (0, 46, 92, 92))
    image.paste((250, 250, 250), (10, 92, 92, 138))
    assert pretrained.colours(image) == "top black, middle red, bottom white"


@pytest.mark.slow
def test_adaptation_beats_unadapted_features_in_retrieval(chain, tmp_path):
    torch.set_num_threads(1)
    ensure_sample(chain.MINIATURE, tmp_path)
    chain.pretrain(tmp_path / "model", chain.invented(), 400)
    keys = {
        "backbone": str(tmp_path / "model"),
        "items": str(tmp_path / chain.MINIATURE / "items.jsonl"),
        "seed": 1,
        "steps": 100,
    }
    run_adaptation(read_settings((), {**chain.STAGE, **keys}), tmp_path / "adapted")
    record = read_record(tmp_path / "adapted" / "adapt.yaml")
    assert record["best"]["recall@10"] > 2 * record["before"]["recall@10"]
