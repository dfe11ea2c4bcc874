"""Rates of this machine for a plan."""

import pytest

from recbole_sda.errors import InputError
from recbole_sda.lvlm import planner_measure
from recbole_sda.lvlm.planner import Planner
from recbole_sda.lvlm.planner_measure import measure, with_weights


def test_rates_are_of_this_machine(stage, monkeypatch, tmp_path, tiny):
    settings = stage(device="cpu")
    planner = Planner(settings)
    plan = {"extract": {"peak": 1000}}
    rates = measure(planner, plan, settings)
    assert set(rates) == {"adapt", "extract"} and all(1e6 < rate < 1e13 for rate in rates.values())
    monkeypatch.setattr(planner_measure, "free_memory", lambda _: 10)
    with pytest.raises(InputError, match=r"--measure=True needs .* GiB on cpu, 0.0 GiB are free"):
        measure(planner, plan, settings)


def test_a_configuration_alone_gets_random_weights(stage, tiny, tmp_path):
    path = tmp_path / "config.json"
    path.write_text((tiny("qwen2_5_vl") / "config.json").read_text())
    settings = stage(device="cpu", backbone=str(path))
    planner = Planner(settings)
    backbone = with_weights(planner, settings, backbone_device := planner_measure.default_device("cpu"))
    assert backbone.device == backbone_device and not next(backbone.model.parameters()).is_meta
