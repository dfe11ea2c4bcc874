import pytest
import torch
from PIL import Image

from recbole_sda.errors import InputError
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.settings import read_settings

METHODS = ("moda", "lora", "two_lora")
TEXTS = ["a red drum", "a green flute", "violin"]


def made(b, method, **keys):
    """A backbone with an adapter whose effect is not zero."""
    torch.manual_seed(1)
    settings = read_settings((), {"method": method, "dropout": 0.0, **keys})
    adapted = adapters.attach(b.model, b.adapter_targets(), settings)
    for name, p in adapted.named_parameters():
        if p.requires_grad and ("_B" in name):
            torch.nn.init.normal_(p, std=0.05)
    return adapted


def text_batch(b):
    return b.processor.batch([b.processor.render(text, False) for text in TEXTS])


def both_passes(b, adapted):
    """Loss of an image and a text pass; both read texts here, only the modality differs."""
    vectors = []
    for m in (0, 1):
        with adapters.adapter_pass(adapted, m):
            vectors.append(b.states(text_batch(b), "text")[0])
    return (vectors[0] * vectors[1]).sum() + vectors[0].pow(2).sum()


@pytest.mark.parametrize("method", METHODS)
def test_checkpointing_equals_none(backbone, method):
    grads = []
    for on in (False, True):
        b = backbone("qwen2_5_vl")
        adapted = made(b, method, gradient_checkpointing=on)
        b.train_mode(adapted, True)
        both_passes(b, adapted).backward()
        grads.append({n: p.grad for n, p in adapted.named_parameters() if p.requires_grad})
    assert all(g is not None for g in grads[0].values()) and grads[0].keys() == grads[1].keys()
    for name, g in grads[0].items():
        assert torch.allclose(g, grads[1][name], atol=1e-5, rtol=1e-4), name


def test_checkpointing_keeps_nothing_of_the_frozen_vision_tower(backbone):
    b = backbone("qwen2_5_vl")
    adapted = made(b, "moda", gradient_checkpointing=True)
    b.train_mode(adapted, True)
    kept = []
    b.model.model.visual.register_forward_hook(
        lambda module, args, output: kept.append(output.last_hidden_state.requires_grad)
    )
    batch = b.processor.batch([b.processor.render("drum", True)], [Image.new("RGB", (60, 60))])
    with adapters.adapter_pass(adapted, 0):
        assert b.states(batch, "image")[0].requires_grad
    assert kept == [False]


@pytest.mark.parametrize("method", METHODS)
def test_merged_equals_unmerged_and_weights_come_back(backbone, method):
    b = backbone("qwen2_5_vl")
    adapted = made(b, method).eval()
    before = {n: p.clone() for n, p in b.model.named_parameters()}
    with torch.no_grad():
        for m in (0, 1):
            expected = encode_as(b, adapted, m)
            with adapters.merged(adapted, m):
                assert torch.allclose(encode(b, None, text_batch(b), "text", "mean"), expected, atol=2e-5)
            assert torch.equal(encode_as(b, adapted, m), expected)
    assert all(torch.equal(p, before[n]) for n, p in b.model.named_parameters())


def encode_as(b, adapted, m):
    with adapters.adapter_pass(adapted, m):
        return encode(b, None, text_batch(b), "text", "mean")


@pytest.mark.parametrize("method", METHODS)
def test_save_and_load(backbone, tmp_path, method):
    b = backbone("qwen2_5_vl")
    adapted = made(b, method).eval()
    adapters.save(adapted, tmp_path / "a")
    assert adapters.fingerprint(tmp_path / "a")["method"] == method
    other = backbone("qwen2_5_vl")
    again = adapters.load(other.model, tmp_path / "a").eval()
    assert adapters.method_of(again) == method
    with torch.no_grad():
        for m in (0, 1):
            assert torch.allclose(encode_as(other, again, m), encode_as(b, adapted, m), atol=1e-6)


@pytest.mark.parametrize("method", ["moda", "two_lora"])
def test_modalities_differ(backbone, method):
    b = backbone("qwen2_5_vl")
    adapted = made(b, method).eval()
    with torch.no_grad():
        assert not torch.allclose(encode_as(b, adapted, 0), encode_as(b, adapted, 1), atol=1e-4)


def test_trained_weights(backbone):
    counts = {}
    for method in METHODS:
        b = backbone("qwen2_5_vl")
        targets = b.adapter_targets()
        adapted = made(b, method)
        trained = [n for n, p in adapted.named_parameters() if p.requires_grad]
        assert all("lora_" in n or "moda_" in n for n in trained)
        counts[method] = sum(
            p.numel() for n, p in adapted.named_parameters() if p.requires_grad and "moda_emb" not in n
        )
    assert counts["two_lora"] == 2 * counts["lora"]
    assert counts["moda"] == counts["lora"] + len(targets) * 4 * 64  # the gates


def test_gates_are_of_moda_alone(backbone):
    b = backbone("qwen2_5_vl")
    targets = b.adapter_targets()
    found = adapters.gates(made(b, "moda"))
    assert list(found) == targets
    assert all(abs(sum(row) - 1) < 1e-5 for rows in found.values() for row in rows)
    assert adapters.gates(made(backbone("qwen2_5_vl"), "lora")) == {}


def test_folders_that_are_no_adapters(backbone, tmp_path):
    with pytest.raises(InputError, match="neither a PEFT adapter"):
        adapters.load(backbone("qwen3").model, tmp_path)
    b = backbone("qwen3")
    adapters.save(made(b, "moda"), tmp_path / "a")
    with pytest.raises(InputError, match="does not fit this backbone"):
        adapters.load(backbone("clip").model, tmp_path / "a")
