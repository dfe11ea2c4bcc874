"""Plans: the order of their runs, and chosen rows."""

import pytest

from recbole_sda.comparison.read_plan import read_plan
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import properties_dir


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


@pytest.mark.parametrize("path", sorted((properties_dir() / "experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_ready_plans_hold_valid_runs(path, miniature_path, tmp_path, monkeypatch):
    (tmp_path / "dataset").symlink_to(miniature_path)
    monkeypatch.chdir(tmp_path)
    plan = read_plan(path, tmp_path, {"datasets": ["Amazon_Sports"]})
    assert plan.about and len(plan.seeds) >= 3
    for run in plan.runs()[: len(plan.models)]:
        run.check()
