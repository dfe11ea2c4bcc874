import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from recbole_sda.errors import InputError
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.export import export_lora

STOCK = """
import sys, torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText
base, ids, *folders = sys.argv[1:]
inputs = torch.load(ids, weights_only=True)
for folder in folders:
    found = {}
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, folder + "/lora/image", adapter_name="image")
    model.load_adapter(folder + "/lora/text", adapter_name="text")
    for name in ("image", "text"):
        model.set_adapter(name)
        with torch.no_grad():
            states = model.base_model.model.model(**inputs[name], use_cache=False).last_hidden_state
        mask = inputs[name]["attention_mask"].unsqueeze(-1)
        found[name] = ((states * mask).sum(1) / mask.sum(1)).contiguous()
    save_file(found, folder + "/vectors")
assert not any(name.startswith("recbole_sda") for name in sys.modules)
"""
METHODS = ("moda", "lora", "two_lora")


@pytest.fixture(scope="module")
def stock(backbone, random_adapter, tiny, tmp_path_factory):
    """Folder with an adapter, its export and the vectors from it by PEFT, for each method; and the inputs."""
    root = tmp_path_factory.mktemp("stock")
    for method in METHODS:
        random_adapter(method, root / method / "run")
        export_lora(root / method / "run", root / method / "lora")
    processor = backbone("qwen2_5_vl").processor
    image = Image.effect_noise((60, 40), 50).convert("RGB")
    inputs = {
        "image": processor.batch([processor.render("a", True)] * 2, [image, image.rotate(90)]),
        "text": processor.batch([processor.render(t, False) for t in ("a red drum", "harp")]),
    }
    torch.save(inputs, root / "inputs.pt")
    arguments = [str(tiny("qwen2_5_vl")), str(root / "inputs.pt"), *(str(root / method) for method in METHODS)]
    done = subprocess.run([sys.executable, "-c", STOCK, *arguments], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    return root, inputs


@pytest.mark.parametrize("method", METHODS)
def test_peft_without_this_package_gives_the_same_vectors(backbone, stock, method):
    root, inputs = stock
    folder = root / method
    b = backbone("qwen2_5_vl")
    adapted = adapters.load(b.model, folder / "run").eval()
    found = load_file(folder / "vectors")
    with torch.no_grad():
        for name, batch in inputs.items():
            expected = encode(b, adapted, batch, name, "mean")
            assert torch.allclose(found[name], expected, atol=2e-6)
    if method == "moda":
        weights = [load_file(folder / f"lora/{name}/adapter_model.safetensors") for name in ("image", "text")]
        assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_the_model_card_records_where_the_adapter_comes_from(stage, tmp_path):
    run_adaptation(stage(), tmp_path / "run")
    export_lora(tmp_path / "run", tmp_path / "lora")
    card = (tmp_path / "lora/README.md").read_text()
    for word in ("base_model:", "recall@10", "cmsa", "transformers", "items_sha256", "29 items"):
        assert word in card


def test_what_is_no_adapter_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a PEFT adapter"):
        export_lora(tmp_path, tmp_path / "out")


def test_an_export_is_not_overwritten_unasked(backbone, tmp_path, stage):
    run_adaptation(stage(steps=2, method="lora"), tmp_path / "run")
    export_lora(tmp_path / "run", tmp_path / "lora")
    with pytest.raises(InputError, match="exists already"):
        export_lora(tmp_path / "run", tmp_path / "lora")
    export_lora(tmp_path / "run", tmp_path / "lora", overwrite=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/thesis.tex").touch()
    with pytest.raises(InputError, match="is not an export .export.json is missing., so it is not overwritten"):
        export_lora(tmp_path / "run", tmp_path / "own", overwrite=True)
