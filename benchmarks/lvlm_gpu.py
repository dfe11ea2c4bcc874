"""Speed and memory of the LVLM stage at 7B on one GPU, beside what `lvlm plan` predicts.

The model is a random one of the architecture of Qwen2.5-VL-7B (benchmarks/qwen2_5_vl_7b.json), so no weights are needed. One call
measures, in this order, and writes OUT after each step:

- LoRA, MoDA and MoDA with its experts computed one by one: pairs per second and peak memory of training steps;
- encoding without an adapter: inputs per second of the bare forward pass, images and texts;
- extraction of a catalogue with a MoDA adapter, through the whole pipeline: images decoded, adapter merged, store written.

A step that does not fit into --seconds is left out. A step that fails is recorded with its error, and the next one is tried.

    python benchmarks/lvlm_gpu.py --out=runs/lvlm-gpu.json [--seconds=450]
    python benchmarks/lvlm_gpu.py --dry_run=True --out=runs/lvlm-gpu.json       # a tiny configuration on the CPU
"""

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict
from unittest.mock import patch

import numpy as np
import torch
from moda_step import looped_forward
from options import take
from PIL import Image

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import write_text
from recbole_sda.lvlm import adapters, extraction
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer
from recbole_sda.lvlm.batching import token_batches
from recbole_sda.lvlm.embedders import with_embedder
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.meta_trace import fused_attention
from recbole_sda.lvlm.moda import MoDALinear
from recbole_sda.lvlm.planner import Planner
from recbole_sda.lvlm.planner_measure import fastest, with_weights
from recbole_sda.lvlm.settings import LVLMSettings, read_settings
from recbole_sda.machine.memory import peak, reset_peak

CONFIG = Path(__file__).with_name("qwen2_5_vl_7b.json")
FORMS = {"LoRA": ("lora", None), "MoDA": ("moda", None), "MoDA, looped": ("moda", looped_forward)}
TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TINY_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "out_hidden_size": 32}
TEXT_TOKENS, TINY_VOCABULARY = 128, 151700


class Benchmark:
    """The steps of the benchmark, which share one random model.

    Args:
        settings: settings of the stage.
        out: file for the results.
        seconds: time after which no further step begins.
        n_items: items of the extraction.
    """

    def __init__(self, settings: LVLMSettings, out: Path, seconds: float, n_items: int):
        self.settings, self.out, self.seconds, self.n_items = settings, out, seconds, n_items
        self.start = time.perf_counter()
        self.device = torch.device(str(settings.device))
        self.results: Dict[str, Any] = {
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU",
            "torch": torch.__version__,
            "settings": {
                name: getattr(settings, name) for name in ("dtype", "batch_size", "token_budget", "max_pixels")
            },
        }

    def step(self, name: str, action: Callable[[], Any]) -> None:
        """Run a step if there is time left, and write its result or its error."""
        begin = time.perf_counter()
        if begin - self.start > self.seconds:
            self.results[name] = {"left_out": f"after {self.seconds:g} s"}
        else:
            try:
                self.results[name] = action()
            except (RuntimeError, MemoryError) as error:  # out of memory, among others
                self.results[name] = {"error": str(error)[:300]}
            self.results[name]["wall_seconds"] = round(time.perf_counter() - begin, 1)
        write_text(self.out, json.dumps(self.results, indent=1) + "\n")
        print(f"{name}: {self.results[name]}", flush=True)

    def run(self) -> None:
        """Run all steps."""
        self.step("model", self._model)
        if "error" in self.results["model"]:
            return
        for name, (method, forward) in FORMS.items():
            self.step(name, lambda: self._training(method, forward))  # noqa: B023
        self.step("bare forward pass", self._forward)
        self.step("extraction", self._extraction)

    def _model(self) -> Dict[str, Any]:
        self.planner = Planner(self.settings, max(self.n_items, 2 * self.settings.batch_size), TEXT_TOKENS)
        self.backbone = with_weights(self.planner, self.settings, self.device)
        parameters = sum(p.numel() for p in self.backbone.model.parameters())
        return {"parameters": parameters, "planned_parameters": self.planner.backbone_record()["parameters"]}

    def _training(self, method: str, forward: Any) -> Dict[str, Any]:
        settings = replace(self.settings, method=method)
        training = self.planner.catalogue.training
        inputs = self.planner.sides(training, training.batches[0])
        with fused_attention():
            planned = self.planner.trace_step(self.planner.trainer(method, settings.gradient_checkpointing), inputs)
        trainer = AdapterTrainer(self.backbone, settings)
        try:
            if forward is not None:
                for module in trainer.adapted.modules():
                    if isinstance(module, MoDALinear):
                        module.forward = forward.__get__(module)
            numbers = iter(range(settings.steps))
            reset_peak(self.device)
            seconds = fastest(lambda: trainer.step(next(numbers), inputs), self.device)
            adapter = self.planner.adapter(method)
            state = self.planner.backbone_record()["weights"] + adapter["weights"] + adapter["optimizer"]
            return {
                "pairs_per_second": round(settings.batch_size / seconds, 3),
                "seconds_per_step": round(seconds, 4),
                "tflops_per_second": round(planned.flops / seconds / 1e12, 2),
                "peak_gib": peak(self.device),
                "planned_peak_gib": round((state + planned.peak) / 2**30, 3),  # of the fused form
                "trainable": sum(p.numel() for p in trainer.weights),
            }
        finally:
            self.backbone = self.backbone._replace(model=trainer.adapted.unload())

    def _forward(self) -> Dict[str, Any]:
        """Return inputs per second of full batches, and what was planned for one."""
        result: Dict[str, Any] = {}
        for name, inputs in self.planner.catalogue.modalities.items():
            rows = token_batches(inputs.lengths, self.settings.token_budget)[0]
            batch = inputs.batch(self.planner.backbone.processor, rows)
            reset_peak(self.device)
            with torch.no_grad():
                seconds = fastest(lambda: encode(self.backbone, None, batch, name, "mean"), self.device)  # noqa: B023
            planned = self.planner.backbone_record()["weights"] + self.planner.batch_peak(name, inputs, rows)
            result[name] = {
                "inputs_per_second": round(len(rows) / seconds, 2),
                "inputs": len(rows),
                "peak_gib": peak(self.device),
                "planned_peak_gib": round(planned / 2**30, 3),
            }
        return result

    def _extraction(self) -> Dict[str, Any]:
        """Return items per second of a whole extraction, and its share of what the bare forward passes would reach."""
        with tempfile.TemporaryDirectory() as folder:
            trainer = AdapterTrainer(self.backbone, replace(self.settings, method="moda"))
            adapters.save(trainer.adapted, Path(folder) / "moda")
            self.backbone = self.backbone._replace(model=trainer.adapted.unload())
            items = write_items(Path(folder), self.n_items)
            keys = {"items": str(items), "adapter": str(Path(folder) / "moda"), "store_dtype": "float32"}
            settings = read_settings((), keys, self.settings.plain())
            settings = with_embedder(settings, self.backbone.processor.embedder, self.backbone.family.pooling)
            random_model = {
                "load_backbone": lambda *_, **__: self.backbone,
                "resolved": lambda given: given,
            }  # in no file
            with patch.multiple(extraction, **random_model):
                begin = time.perf_counter()
                extraction.run_extraction(settings, Path(folder) / "store")
                seconds = time.perf_counter() - begin
        bare = self.results["bare forward pass"]
        passes = (
            sum(self.n_items / bare[name]["inputs_per_second"] for name in ("image", "text"))
            if "image" in bare
            else None
        )
        return {
            "items": self.n_items,
            "items_per_second": round(self.n_items / seconds, 2),
            "bare_items_per_second": None if passes is None else round(self.n_items / passes, 2),
        }


def write_items(folder: Path, n_items: int) -> Path:
    """Write a catalogue of random images and texts that all differ; return its items file."""
    rng, lines = np.random.default_rng(0), []
    for k in range(n_items):
        Image.fromarray(rng.integers(256, size=(16, 16, 3), dtype=np.uint8)).resize((256, 256)).save(
            folder / f"{k}.jpg"
        )
        words = " ".join(f"w{number}" for number in rng.integers(10**6, size=TEXT_TOKENS - 4))
        lines.append(json.dumps({"item_id": f"i{k}", "title": words, "image": f"{k}.jpg"}))
    path = folder / "items.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tiny_config(folder: Path) -> Path:
    """Write the configuration with small layers; return its file."""
    values = json.loads(CONFIG.read_text(encoding="utf-8"))
    values["text_config"] |= {**TINY, "vocab_size": TINY_VOCABULARY}
    values["text_config"]["rope_parameters"]["mrope_section"] = [1, 1, 2]
    values["vision_config"] |= {**TINY_VISION, "fullatt_block_indexes": [1]}
    path = folder / "config.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def measure() -> None:
    """Run the benchmark."""
    keys = dict(parse(sys.argv[1:]).keys)
    dry, seconds, out = take(keys, dry_run=False, seconds=450, out="runs/lvlm-gpu.json")
    out = Path(out)
    if not dry and not torch.cuda.is_available():
        raise InputError("no GPU: --dry_run=True tries the script with a tiny configuration on the CPU")
    out.parent.mkdir(parents=True, exist_ok=True)
    given = {"batch_size": 32, "steps": 100, "workers": 8, "device": "cuda", "n_items": 1024}
    if dry:
        given |= {"batch_size": 2, "workers": 0, "device": "cpu", "dtype": "float32", "n_items": 6, "threads": 1}
        given |= {"max_pixels": 3136, "token_budget": 1024}
    given |= keys
    n_items = given.pop("n_items")
    with tempfile.TemporaryDirectory() as folder:
        backbone = tiny_config(Path(folder)) if dry else CONFIG
        settings = read_settings((), {"backbone": str(backbone), **given})
        Benchmark(settings, out, seconds, n_items).run()


if __name__ == "__main__":
    sys.exit(run_command(measure))
