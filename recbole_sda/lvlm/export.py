"""Export of an adapter as two standard LoRA adapters, one per modality, which PEFT loads without this package.

The gate depends only on the modality, so for one modality the experts are a LoRA of the same rank:

    lora_A = A        lora_B = B diag(repeat(g[m], r / E))        same r and alpha
"""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, Union

import yaml
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import library_versions
from recbole_sda.io.atomic_folder import atomic_folder, folder_lock
from recbole_sda.io.atomic_write import use_default_permissions, write_text
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.schema import COUNT, NUMBER, check_shape
from recbole_sda.io.tensors import read_tensors
from recbole_sda.io.yaml import read_yaml
from recbole_sda.layers.low_rank import gate_weights
from recbole_sda.lvlm.adapters import CONFIG, NAMES, WEIGHTS, fingerprint, folder_of, parts_of, record_of

MANIFEST = "export.json"
CARD = """\
---
library_name: peft
base_model: {base}
tags: [lora, multimodal, recommendation]
---

# {title}

LoRA adapters of `{base}`{revision} for the items of a catalogue: `image/` for the forward pass of an item's image, `text/` for that
of its text. They were exported from one adapter of the method `{method}` (arXiv 2512.06883: {description}), trained with
the loss `{loss}` between the images and texts of {items} items.

```python
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

model = AutoModelForImageTextToText.from_pretrained("{base}", dtype=torch.{dtype})
model = PeftModel.from_pretrained(model, "image", adapter_name="image")
model.load_adapter("text", adapter_name="text")
model.set_adapter("image")  # or "text"
states = model.base_model.model.model(**inputs, use_cache=False).last_hidden_state
```

An item's vector is the `{pooling}` pooling of the last hidden states over the tokens that are not padding. Images have {low}
to {high} pixels; the prompts are listed below. The backbone's licence applies to its weights, which these files do not include.

## Held-out items

{evaluation}

## Settings

```yaml
{record}```
"""
MODA_CONFIG = {
    "r": int, "alpha": NUMBER, "dropout": NUMBER, "experts": COUNT, "base_model_name_or_path": (str, None), "revision": (str, None),
    "target_modules": (str, list, None),
}  # fmt: skip
DESCRIPTIONS = {
    "moda": "low-rank experts mixed by modality",
    "lora": "one LoRA for both modalities, a baseline; both folders hold the same weights",
    "two_lora": "one LoRA per modality, a baseline",
}


def export_lora(adapter: Union[str, Path], out: Union[str, Path], overwrite: bool = False) -> Path:
    """Write an adapter as two standard LoRA adapters with a model card.

    Args:
        adapter: the folder of an adaptation, or an adapter in PEFT's format.
        out: folder for ``image/``, ``text/``, ``README.md`` and ``export.json``.
        overwrite: whether an earlier export is replaced.

    Returns:
        The folder ``out``.

    Raises:
        InputError: ``adapter`` is not an adapter of this stage, or ``out`` exists, or is no export.
    """
    folder, out = folder_of(adapter), Path(out)
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{out} exists already; choose another folder, or --overwrite=True")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise InputError(f"{out} is not an export ({MANIFEST} is missing), so it is not overwritten")
    method = fingerprint(folder)["method"]
    if method not in DESCRIPTIONS:
        raise InputError(f"adapter={adapter} has the method {method}: allowed are {', '.join(DESCRIPTIONS)}")
    with folder_lock(out), atomic_folder(out) as draft:
        _write_export(folder, method, draft)
    return out


def _write_export(folder: Path, method: str, out: Path) -> None:
    parts = dict(parts_of(folder))
    for m, name in enumerate(NAMES):
        source = parts.get(name, folder)
        if method == "moda":
            _export_moda(source, out / name, m)
        else:
            shutil.copytree(source, out / name, dirs_exist_ok=True, ignore=lambda *_: ["README.md"])
    card = model_card(method, read_yaml(out / NAMES[0] / CONFIG), record_of(folder))
    write_text(out / "README.md", card)
    manifest = {
        "adapter": fingerprint(folder),
        "sha256": {name: sha256_of(out / name / WEIGHTS) for name in NAMES},
        "versions": library_versions("peft", "torch"),
    }
    write_text(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _export_moda(source: Path, out: Path, m: int) -> None:
    """Write the adapter of modality number ``m`` of a MoDA adapter."""
    config = check_shape(read_yaml(source / CONFIG), MODA_CONFIG, str(source / CONFIG))
    if not 0 < config["experts"] <= config["r"]:
        raise InputError(f"{source / CONFIG}: experts={config['experts']}: expected 1 to r={config['r']}")
    arguments = {"r": config["r"], "lora_alpha": config["alpha"], "lora_dropout": config["dropout"]}
    arguments |= {key: config[key] for key in ("base_model_name_or_path", "revision", "target_modules")}
    out.mkdir(exist_ok=True)
    save_file(as_lora(_weights(source / WEIGHTS), config, m), out / WEIGHTS, {"format": "pt"})
    use_default_permissions(out / WEIGHTS)
    LoraConfig(**arguments, inference_mode=True).save_pretrained(str(out))


def _weights(path: Path) -> Dict[str, Tensor]:
    """Return the tensors of a MoDA adapter; a layer that lacks one is an InputError."""
    tensors = read_tensors(path)
    layers = {key.rpartition(".moda_")[0] for key in tensors if ".moda_" in key}
    for name in (f"{layer}.moda_{part}" for layer in sorted(layers) for part in ("A", "B", "embedding", "projection")):
        if name not in tensors:
            raise InputError(f"{path} lacks the tensor {name}")
    if not layers:
        raise InputError(f"{path} has no tensor of a MoDA adapter")
    return tensors


def as_lora(tensors: Dict[str, Tensor], config: Dict[str, Any], m: int) -> Dict[str, Tensor]:
    """Return the weights of a standard LoRA adapter for modality number ``m`` from those of a MoDA adapter.

    Args:
        tensors: weights of the MoDA adapter by name.
        config: its ``adapter_config.json``.
        m: number of the modality.
    """
    lora = {}
    for key, a in tensors.items():
        if not key.endswith(".moda_A"):
            continue
        layer = key[: -len(".moda_A")]
        embedding, projection = (tensors[f"{layer}.moda_{part}"] for part in ("embedding", "projection"))
        gate = gate_weights(embedding, projection, m).repeat_interleave(config["r"] // config["experts"])
        lora[f"{layer}.lora_A.weight"] = a.contiguous()
        lora[f"{layer}.lora_B.weight"] = (tensors[f"{layer}.moda_B"] * gate).contiguous()
    return lora


def model_card(method: str, config: Dict[str, Any], record: Dict[str, Any]) -> str:
    """Return the model card of an export, in Markdown.

    Args:
        method: moda, lora or two_lora.
        config: ``adapter_config.json`` of an exported LoRA.
        record: ``adapt.yaml`` of the adaptation; empty if there is none.
    """
    settings, backbone, best = record.get("settings", {}), record.get("backbone", {}), record.get("best", {})
    lines = [f"| {key} | {value:.4f} |" for key, value in best.items() if key != "step"]
    table = [f"Best evaluation, step {best.get('step')}:", "", "| measure | value |", "| --- | --- |", *lines]
    shown = {k: v for k, v in record.items() if k not in ("gates", "best", "before")}
    return CARD.format(
        base=config.get("base_model_name_or_path") or backbone.get("model", "unknown"),
        revision=f" (revision {backbone['revision']})" if backbone.get("revision") else "",
        title=f"Image and text adapters of {backbone.get('model', 'a vision-language model')}",
        method=method,
        description=DESCRIPTIONS[method],
        loss=settings.get("loss", "not recorded"),
        items=record.get("items", {}).get("train", "an unrecorded number of"),
        dtype=settings.get("dtype", "bfloat16"),
        pooling=settings.get("pooling", "mean"),
        low=settings.get("min_pixels", "?"),
        high=settings.get("max_pixels", "?"),
        evaluation="\n".join(table) if best else "Not recorded.",
        record=yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110),
    )
