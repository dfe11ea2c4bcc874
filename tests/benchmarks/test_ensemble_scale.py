"""The benchmark of ensembles by size of the catalogue runs at a small size."""


def test_every_step_is_measured(script):
    module = script("ensemble_scale")
    results = module.measure(150, 20, 150)
    seconds = [name for name in results if name.endswith(", s")]
    assert len(seconds) == 6 and all(results[name] >= 0 for name in results) and len(results) == 18
    assert "content neighbours, s" not in module.measure(150, 20, 100)
