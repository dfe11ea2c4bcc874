"""The benchmark of the LVLM stage on a GPU runs with a tiny configuration on the CPU."""

import json
import sys

import pytest

from recbole_sda.errors import InputError


@pytest.fixture
def benchmark(script):
    return script("lvlm_gpu")


def test_every_step_is_measured_and_kept(benchmark, monkeypatch, tmp_path):
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(
        benchmark.extraction, "load_backbone", benchmark.extraction.load_backbone
    )  # restored afterwards
    monkeypatch.setattr(sys, "argv", ["x", "--dry_run=True", f"--out={out}", "--max_pixels=784", "--n_items=4"])
    benchmark.measure()
    results = json.loads(out.read_text())
    assert results["model"]["parameters"] == results["model"]["planned_parameters"]
    for form in benchmark.FORMS:
        assert results[form]["pairs_per_second"] > 0 and results[form]["planned_peak_gib"] > 0
    assert results["MoDA"]["trainable"] == results["MoDA, looped"]["trainable"] > results["LoRA"]["trainable"]
    assert (
        results["extraction"]["items_per_second"] > 0 and results["bare forward pass"]["text"]["inputs_per_second"] > 0
    )


def test_no_step_begins_late_and_errors_are_kept(benchmark, tmp_path):
    settings = benchmark.read_settings((), {"device": "cpu"})
    run = benchmark.Benchmark(settings, tmp_path / "gpu.json", 0.0, 4)
    run.step("late", dict)
    run.seconds = 60.0

    def fails():
        raise RuntimeError("out of memory")

    run.step("failed", fails)
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert "left_out" in results["late"] and results["failed"]["error"] == "out of memory"


def test_without_a_gpu(benchmark, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setattr(benchmark.torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU: --dry_run=True"):
        benchmark.measure()
