"""MoDA against a loop over its experts, and as a method of PEFT."""

import subprocess
import sys
import threading

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from torch.nn import functional as F

from recbole_sda.lvlm.moda import MoDAConfig, MoDALinear
from recbole_sda.lvlm.modality_context import modality

R, E, ALPHA = 8, 4, 32.0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 5)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def config(**keys):
    return MoDAConfig(
        **{"r": R, "experts": E, "alpha": ALPHA, "dropout": 0.0, "target_modules": ["first", "second"], **keys}
    )


def wrapped(seed=0, dtype=torch.float64, **keys):
    torch.manual_seed(seed)
    model = get_peft_model(Net().to(dtype), config(**keys))
    for name, p in model.named_parameters():
        if "moda_B" in name:
            nn.init.normal_(p)
    return model


def looped(layer: MoDALinear, x, m):
    """The formula, expert by expert."""
    a, b = layer.moda_A["default"], layer.moda_B["default"]
    gate = F.softmax(layer.moda_projection["default"] @ layer.moda_embedding["default"][m], dim=0)
    y, size = layer.base_layer(x), R // E
    for e in range(E):
        part = slice(e * size, (e + 1) * size)
        y = y + ALPHA / R * gate[e] * ((x @ a[part].T) @ b[:, part].T)
    return y


def layers(model):
    return [m for m in model.modules() if isinstance(m, MoDALinear)]


X = torch.randn(7, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("m", [0, 1])
def test_fused_equals_the_loop_with_gradients(m):
    model = wrapped()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert len(trained) == 8
    with modality(m):
        fused = model(X)
    first, second = layers(model)
    slow = looped(second, torch.tanh(looped(first, X, m)), m)
    assert torch.allclose(fused, slow, atol=1e-12)
    ours, theirs = (torch.autograd.grad(y.pow(2).sum(), trained, retain_graph=True) for y in (fused, slow))
    for a, b in zip(ours, theirs):
        assert torch.allclose(a, b, atol=1e-9, rtol=1e-9)


def test_gradient_check():
    layer = layers(wrapped())[0]
    x = X[:2, :1].clone().requires_grad_()
    with modality(1):
        assert torch.autograd.gradcheck(layer, (x,))


def test_a_modality_per_sample_equals_one_per_pass():
    model = wrapped()
    m = torch.tensor([0, 1, 1, 0, 1, 0, 0])
    with modality(m):
        mixed = model(X)
    for value in (0, 1):
        with modality(value):
            assert torch.allclose(model(X)[m == value], mixed[m == value], atol=1e-12)


def test_a_new_adapter_changes_nothing():
    torch.manual_seed(0)
    net = Net().double()
    before = net(X)
    with modality(0):
        assert torch.equal(get_peft_model(net, config())(X), before)


def test_a_forgotten_modality_is_an_error():
    with pytest.raises(RuntimeError, match="with modality"):
        wrapped()(X)


def test_gates_sum_to_one_and_rank_is_checked():
    for layer in layers(wrapped()):
        assert torch.allclose(layer.gate("default").sum(-1), torch.ones(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="multiple"):
        config(r=6)
    with pytest.raises(ValueError, match="target_modules"):
        get_peft_model(Net(), config(target_modules=None))


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_save_and_load(tmp_path, low_cpu_mem_usage):
    model = wrapped()
    model.save_pretrained(tmp_path)
    torch.manual_seed(0)
    again = PeftModel.from_pretrained(Net().double(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    for m in (0, 1):
        with modality(m):
            assert torch.allclose(again(X), model(X), atol=1e-6)


def test_merge_and_unmerge():
    model = wrapped()
    for m in (0, 1):
        with modality(m):
            expected = model(X)
            model.merge_adapter()
        assert torch.allclose(model(X), expected, atol=1e-5)  # no modality is needed now
        model.unmerge_adapter()
        with modality(m):
            assert torch.allclose(model(X), expected, atol=1e-5)


def test_merge_and_unload_gives_a_plain_model():
    model = wrapped()
    with modality(1):
        expected = model(X)
        plain = model.merge_and_unload()
    assert not layers(plain) and torch.allclose(plain(X), expected, atol=1e-5)


def test_several_adapters():
    model = wrapped()
    with modality(0):
        first = model(X)
        model.add_adapter("other", config(r=4, experts=2))
        assert torch.allclose(model(X), first)
        model.set_adapter("other")
        with model.disable_adapter():
            bare = model(X)
        assert torch.equal(model(X), bare) and not torch.allclose(first, bare)
        model.set_adapter("default")
        model.delete_adapter("other")
        assert torch.allclose(model(X), first)


def test_adapters_of_a_bfloat16_model_are_float32():
    model = wrapped(dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    with modality(0):
        assert model(X.bfloat16()).dtype == torch.bfloat16


def test_backward_in_another_thread():
    model = wrapped()
    with modality(0):
        y = model(X).sum()
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_without_this_package_loading_fails_loudly(tmp_path):
    wrapped().save_pretrained(tmp_path)
    code = "import sys; from peft import PeftConfig; PeftConfig.from_pretrained(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode != 0 and "MODA" in done.stderr


def test_only_linear_layers_are_adapted():
    with pytest.raises(ValueError, match="linear"):
        get_peft_model(nn.Sequential(nn.Conv1d(3, 3, 1)), config(target_modules=["0"]))
