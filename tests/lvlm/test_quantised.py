"""Adapters on quantised weights; needs bitsandbytes, which runs on the CPU too."""

import shutil

import pytest
import torch
import transformers

from recbole_sda.errors import InputError
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.extraction import Extractor
from recbole_sda.lvlm.settings import read_settings

pytest.importorskip("bitsandbytes")


@pytest.fixture(scope="module")
def wide(tiny, tmp_path_factory):
    """A language model of width 128: the CPU kernels of 4 bits need rows of whole blocks."""
    folder = tmp_path_factory.mktemp("wide") / "model"
    shutil.copytree(tiny("qwen3"), folder)
    values = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32}
    config = transformers.Qwen3Config.from_pretrained(folder, **values)
    torch.manual_seed(0)
    transformers.Qwen3ForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
@pytest.mark.parametrize("method", ["moda", "lora"])
def test_training_and_vectors(wide, bits, method):
    keys = {"backbone": wide, "dtype": "float32", "device": "cpu", "method": method, "dropout": 0.0}
    exact, b = (load_backbone(read_settings((), {**keys, "quantization": q})) for q in (None, bits))
    batch = b.processor.batch([b.processor.render(text, False) for text in ("a red drum", "harp")])
    with torch.no_grad():
        near, far = encode(b, None, batch, "text", "mean"), encode(exact, None, batch, "text", "mean")
    assert torch.nn.functional.cosine_similarity(near, far).min() > 0.95
    adapted = adapters.attach(b.model, b.adapter_targets(), read_settings((), keys), 1)
    encode(b, adapted, batch, "text", "mean").pow(2).sum().backward()
    trained = [p for p in adapted.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert {p.dtype for p in trained} == {torch.float32}


def test_quantised_weights_are_not_merged(stage, random_adapter, tmp_path):
    keys = {"adapter": str(random_adapter("moda", tmp_path / "a")), "quantization": "8bit", "device": "cpu"}
    extractor = Extractor(stage(**keys))
    with extractor._adapter("text") as adapted:
        assert adapted is extractor.adapted  # not merged into the weights
    with pytest.raises((TypeError, InputError)), adapters.merged(extractor.adapted, 1):
        pass
