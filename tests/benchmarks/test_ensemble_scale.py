"""The benchmark of ensembles by size of the catalogue runs at a small size."""

import importlib.util
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "ensemble_scale.py"


def test_every_step_is_measured():
    spec = importlib.util.spec_from_file_location("ensemble_scale", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    results = module.measure(150, 20, 150)
    seconds = [name for name in results if name.endswith(", s")]
    assert len(seconds) == 6 and all(results[name] >= 0 for name in results) and len(results) == 18
    assert "content neighbours, s" not in module.measure(150, 20, 100)
