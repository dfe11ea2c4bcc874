"""The benchmark of ensembles by size of the catalogue runs at a small size."""

import pytest

pytest.importorskip("faiss")


def test_every_step_is_measured(script):
    module = script("ensemble_scale")
    results = module.measure(150, 20, 150)
    seconds = [name for name in results if name.endswith(", s")]
    assert len(seconds) == 7 and all(results[name] >= 0 for name in results) and len(results) == 21
    fewer = module.measure(150, 20, 100)
    assert "content neighbours, faiss, s" in fewer and "content neighbours, exact, s" not in fewer
