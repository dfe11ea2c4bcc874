"""Plans: the order of their runs, chosen rows, and folders that belong to other settings or data."""

import shutil
from dataclasses import replace

import pytest

from recbole_sda.comparison.plan import ModelEntry, slug
from recbole_sda.comparison.read_plan import read_plan
from recbole_sda.comparison.runner import run_planned
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import properties_dir

BASE, OURS = ModelEntry("BPR", "BPR", None, {}), ModelEntry("ours", "BPR_SDA", "BPR", {"id_shrinkage": 2.0})


def test_runs_come_after_those_that_they_need(plan_file, tmp_path):
    plan = read_plan(plan_file(), tmp_path / "out")
    assert [str(run) for run in plan.runs()] == [
        f"{row} on tiny, seed {seed}" for seed in (1, 2) for row in ("BPR", "aligned")
    ]
    aligned = plan.runs()[1]
    assert aligned.keys == {
        "epochs": 2, "learning_rate": 0.02, "seed": 1, "alignment_run": str(tmp_path / "out/tiny/BPR/seed1")
    }  # fmt: skip
    assert {row.name: row.base for row in plan.models} == {"aligned": "BPR", "BPR": None}
    assert plan.metrics == ("hit@10", "ndcg@10") and plan.correction == "holm"


def test_chosen_rows_bring_those_that_they_lead_to(plan_file, tmp_path):
    models = {
        "SASRec": None,
        "BPR": None,
        "BPR_SDA": {"base": "BPR"},
        "no CMSA": {"model": "BPR_SDA", "base": "BPR_SDA"},
        "aligned": {"model": "SASRec_SDA", "keys": {"alignment_run": {"row": "SASRec"}}},
    }
    path = plan_file(models=models)

    def names(chosen):
        return [
            run.entry.name for run in read_plan(path, tmp_path, {"models": chosen, "seeds": 1, "datasets": "d"}).runs()
        ]

    assert names(["no CMSA"]) == ["BPR", "BPR_SDA", "no CMSA"]
    assert names("aligned") == ["SASRec", "aligned"]
    assert names(["BPR_SDA", "BPR"]) == ["BPR", "BPR_SDA"]
    with pytest.raises(InputError, match="--models: there is no row 'BPR_SDAA'.*Did you mean 'BPR_SDA'"):
        names(["BPR_SDAA"])
    with pytest.raises(InputError, match=r"no row 'BPR,SASRec'.*Several are written --models=\[BPR,SASRec\]"):
        names("BPR,SASRec")
    with pytest.raises(InputError, match="models=.*expected a list of names"):
        names([])


def test_rows_that_need_each_other(plan_file, tmp_path):
    models = {a: {"model": "BPR_SDA", "keys": {"alignment_run": {"row": b}}} for a, b in (("x", "y"), ("y", "x"))}
    with pytest.raises(InputError, match="x, y need each other's runs"):
        read_plan(plan_file(models=models), tmp_path).runs()


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


def test_a_comparison_that_moved_is_still_its_own(plan_of, tmp_path):
    """Also where a run was aligned with another one of it."""
    aligned = ModelEntry("aligned", "BPR_SDA", "BPR", {"alignment_run": {"row": "BPR"}, "alignment_weight": 0.1})
    assert run_planned(plan_of(BASE, aligned).runs()) == {}
    shutil.move(tmp_path / "out", tmp_path / "moved")
    for run in plan_of(BASE, aligned, out="moved").runs():
        run.check()


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


@pytest.mark.parametrize("path", sorted((properties_dir() / "experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_ready_plans_hold_valid_runs(path, miniature_path, tmp_path, monkeypatch):
    (tmp_path / "dataset").symlink_to(miniature_path)
    monkeypatch.chdir(tmp_path)
    plan = read_plan(path, tmp_path, {"datasets": ["Amazon_Sports"]})
    assert plan.about and len(plan.seeds) >= 3
    for run in plan.runs()[: len(plan.models)]:
        run.check()


def test_names_become_folder_names():
    assert slug("SASRec_SDA, no CMSA (α)") == "SASRec_SDA-no-CMSA-α"
