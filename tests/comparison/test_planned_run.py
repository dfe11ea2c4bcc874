"""Runs of a comparison: folders that belong to other settings or data, and their names."""

import json
import shutil
from dataclasses import replace

import pytest

from recbole_sda.comparison.planned_run import ModelEntry, slug
from recbole_sda.comparison.runner import run_planned
from recbole_sda.engine.run import settings_of
from recbole_sda.engine.run_folder import read_metrics
from recbole_sda.errors import InputError

BASE, OURS = ModelEntry("BPR", "BPR", None, {}), ModelEntry("ours", "BPR_SDA", "BPR", {"id_shrinkage": 2.0})


def test_folders_of_other_settings_are_refused(plan_of):
    plan = plan_of(BASE)
    run_planned(plan.runs())
    plan.runs()[0].check()
    other = plan_of(ModelEntry("BPR", "BPR", None, {"learning_rate": 0.5}))
    with pytest.raises(InputError, match="run with other settings .learning_rate 0.001 -> 0.5"):
        other.runs()[0].check()


def test_keys_that_came_after_a_run_had_their_defaults_in_it(plan_of):
    plan = plan_of(BASE)
    run_planned(plan.runs())
    path = plan.runs()[0].folder / "config.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "mask_validation" not in line))
    plan.runs()[0].check()
    with pytest.raises(InputError, match="run with other settings .mask_validation True -> False"):
        plan_of(ModelEntry("BPR", "BPR", None, {"mask_validation": False})).runs()[0].check()


def test_a_run_made_before_the_defaults_of_its_family_had_none_of_them(plan_of):
    plan = plan_of(OURS)
    run_planned(plan.runs())
    path = plan.runs()[0].folder / "config.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("id_start:")))
    with pytest.raises(InputError, match="run with other settings .id_start 'random' -> 'both'"):
        plan.runs()[0].check()


def test_a_comparison_that_moved_is_still_its_own(plan_of, tmp_path):
    """Also where a run was aligned with another one of it."""
    aligned = ModelEntry("aligned", "BPR_SDA", "BPR", {"alignment_run": {"row": "BPR"}, "alignment_weight": 0.1})
    assert run_planned(plan_of(BASE, aligned).runs()) == {}
    shutil.move(tmp_path / "out", tmp_path / "moved")
    for run in plan_of(BASE, aligned, out="moved").runs():
        run.check()


def test_the_same_data_elsewhere_are_the_same_runs(plan_of, tiny_keys, tmp_path, write_tiny):
    """A finished run is kept; an interrupted one goes on with the data that are given now."""
    write_tiny(tmp_path / "data")
    plan = replace(plan_of(OURS), keys={**tiny_keys, "data_path": str(tmp_path / "data"), "epochs": 3})
    (run,) = plan.runs()
    assert run_planned([run]) == {}
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    (moved,) = replace(plan, keys={**plan.keys, "data_path": str(tmp_path / "elsewhere")}).runs()
    moved.check()
    finished = read_metrics(run.folder)
    (run.folder / "metrics.json").unlink()  # interrupted before the end
    moved.check()
    assert run_planned([moved]) == {} and read_metrics(run.folder)["test"] == finished["test"]
    assert settings_of(run.folder)["data_path"] == str(tmp_path / "elsewhere")


def test_a_run_without_hashes_of_its_data_is_bound_to_their_place(plan_of, tiny_keys, tmp_path, write_tiny):
    write_tiny(tmp_path / "data")
    plan = replace(plan_of(BASE), keys={**tiny_keys, "data_path": str(tmp_path / "data")})
    run_planned(plan.runs())
    path = plan.runs()[0].folder / "metrics.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "inputs"}))
    plan.runs()[0].check()
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    with pytest.raises(InputError, match="made with data in .*data and has no hashes"):
        replace(plan, keys={**plan.keys, "data_path": str(tmp_path / "elsewhere")}).runs()[0].check()


def test_folders_of_other_vectors_or_interactions_are_refused(plan_of, tiny_keys, tmp_path, write_tiny, other_vectors):
    folder = write_tiny(tmp_path / "data")
    plan = replace(plan_of(OURS), keys={**tiny_keys, "data_path": str(tmp_path / "data")})
    run_planned(plan.runs())
    plan.runs()[0].check()
    other_vectors(folder)
    with pytest.raises(InputError, match="features in .*tiny changed after this run"):
        plan.runs()[0].check()
    path = folder / "tiny.inter"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(InputError, match="interactions and features in .*tiny changed after this run"):
        plan.runs()[0].check()


def test_names_become_folder_names():
    assert slug("SASRec_SDA, no CMSA (α)") == "SASRec_SDA-no-CMSA-α"
