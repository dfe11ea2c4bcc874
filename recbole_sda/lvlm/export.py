"""Export: an adapted model as two stock LoRA adapters, one per modality, that PEFT and others load without this package.

The gate depends on the modality alone, so for one modality the experts are a LoRA of the same rank:

    lora_A = A        lora_B = B diag(repeat(g[m], r / E))        same r and alpha
"""

import json
import shutil
from pathlib import Path
from typing import Any, Dict

import yaml
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.store import library_versions, sha256_of
from recbole_sda.io.atomic_write import use_default_permissions
from recbole_sda.io.yaml import read_yaml
from recbole_sda.layers.low_rank import mixture
from recbole_sda.lvlm.adapters import CONFIG, NAMES, WEIGHTS, fingerprint, folder_of, parts_of, record_of

CARD = """\
---
library_name: peft
base_model: {base}
tags: [lora, multimodal, recommendation]
---

# {title}

LoRA adapters of `{base}`{revision} for the items of a catalogue: `image/` for the pass of an item's picture, `text/` for the pass
of its text. They were exported from one adapter of the method `{method}` (arXiv 2512.06883: {what}), trained with
the loss `{loss}` between the pictures and texts of {items} items.

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

An item's vector is the `{pooling}` pooling of the last hidden states over the tokens that are not padding. Pictures have {low}
to {high} pixels; prompts stand below. The backbone's licence holds for its weights; these files hold none of them.

## Held-out items

{evaluation}

## Settings

```yaml
{record}```
"""
WHAT = {
    "moda": "low-rank experts mixed by modality",
    "lora": "one LoRA for both modalities, a baseline; both folders hold the same weights",
    "two_lora": "a LoRA for each modality, a baseline",
}


def export_lora(adapter, out, overwrite: bool = False) -> Path:
    """Write an adapter as two stock LoRA adapters with a model card.

    Args:
        adapter: a folder of adaptation, or an adapter in PEFT's format.
        out: folder for ``image/``, ``text/`` and ``README.md``.
        overwrite: whether an earlier export is replaced.

    Raises:
        InputError: ``adapter`` is no adapter of this stage, or ``out`` exists.
    """
    folder, out = folder_of(adapter), Path(out)
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{out} exists already; choose another folder, or --overwrite=True")
    method = fingerprint(folder)["method"]
    if method not in WHAT:
        raise InputError(f"adapter={adapter} is of the method {method}: exported are {', '.join(WHAT)}")
    out.mkdir(parents=True, exist_ok=True)
    parts = dict(parts_of(folder))
    for m, name in enumerate(NAMES):
        source = parts.get(name, folder)
        config = read_yaml(source / CONFIG)
        if method == "moda":
            tensors = as_lora(load_file(source / WEIGHTS), config, m)
            values = {"r": config["r"], "lora_alpha": config["alpha"], "lora_dropout": config["dropout"]}
            values |= {key: config[key] for key in ("base_model_name_or_path", "revision", "target_modules")}
            (out / name).mkdir(exist_ok=True)
            save_file(tensors, out / name / WEIGHTS, {"format": "pt"})
            use_default_permissions(out / name / WEIGHTS)
            LoraConfig(**values, inference_mode=True).save_pretrained(out / name)
        else:
            shutil.copytree(source, out / name, dirs_exist_ok=True, ignore=lambda *_: ["README.md"])
    card = model_card(method, read_yaml(out / NAMES[0] / CONFIG), record_of(folder))
    (out / "README.md").write_text(card, encoding="utf-8")
    manifest = {name: sha256_of(out / name / WEIGHTS) for name in NAMES}
    manifest = {"adapter": fingerprint(folder), "sha256": manifest, "versions": library_versions("peft", "torch")}
    (out / "export.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return out


def as_lora(tensors: Dict[str, Tensor], config: Dict[str, Any], m: int) -> Dict[str, Tensor]:
    """Return the weights of a stock LoRA adapter for modality number ``m`` from those of a MoDA adapter."""
    made = {}
    for key, a in tensors.items():
        if not key.endswith(".moda_A"):
            continue
        layer = key[: -len(".moda_A")]
        embedding, projection = (tensors[f"{layer}.moda_{part}"] for part in ("embedding", "projection"))
        gate = mixture(embedding, projection, m).repeat_interleave(config["r"] // config["experts"])
        made[f"{layer}.lora_A.weight"] = a.contiguous()
        made[f"{layer}.lora_B.weight"] = (tensors[f"{layer}.moda_B"] * gate).contiguous()
    return made


def model_card(method: str, config: Dict[str, Any], record: Dict[str, Any]) -> str:
    """Return the model card of an export.

    Args:
        method: moda, lora or two_lora.
        config: of the exported LoRA.
        record: ``adapt.yaml`` of the adaptation; empty where it is not known.
    """
    settings, backbone = record.get("settings", {}), record.get("backbone", {})
    best = record.get("best", {})
    lines = [f"| {key} | {value:.4f} |" for key, value in best.items() if key != "step"]
    table = "\n".join(
        [f"Best evaluation, step {best.get('step')}:", "", "| measure | value |", "| --- | --- |", *lines]
    )
    kept = {k: v for k, v in record.items() if k not in ("gates", "best", "before")}
    return CARD.format(
        base=config.get("base_model_name_or_path") or backbone.get("model", "unknown"),
        revision=f" (revision {backbone['revision']})" if backbone.get("revision") else "",
        title=f"Image and text adapters of {backbone.get('model', 'a vision-language model')}",
        method=method,
        what=WHAT[method],
        loss=settings.get("loss", "not recorded"),
        items=record.get("items", {}).get("train", "an unrecorded number of"),
        dtype=settings.get("dtype", "bfloat16"),
        pooling=settings.get("pooling", "mean"),
        low=settings.get("min_pixels", "?"),
        high=settings.get("max_pixels", "?"),
        evaluation=table if best else "Not recorded.",
        record=yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110),
    )
