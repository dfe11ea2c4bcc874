"""Plans: what a file may say, the order of its runs, and folders that belong to other settings."""

import pytest
import yaml

from recbole_sda.comparison.plan import find_plan, read_plan, slug
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import properties_dir

GOOD = {
    "datasets": ["tiny"],
    "seeds": [1, 2],
    "keys": {"epochs": 3},
    "dataset_keys": {"tiny": {"learning_rate": 0.01, "epochs": 2}},
    "models": {
        "aligned": {
            "model": "BPR_SDA",
            "base": "BPR",
            "keys": {"alignment_run": {"row": "BPR"}, "learning_rate": 0.02},
        },
        "BPR": None,
    },
}


def write(tmp_path, **changes):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return path


def test_cells_come_after_those_that_they_need(tmp_path):
    plan = read_plan(write(tmp_path), tmp_path / "out")
    assert [str(cell) for cell in plan.cells()] == [
        f"{row} on tiny, seed {seed}" for seed in (1, 2) for row in ("BPR", "aligned")
    ]
    aligned = plan.cells()[1]
    assert aligned.keys == {
        "epochs": 2, "learning_rate": 0.02, "seed": 1, "alignment_run": str(tmp_path / "out/tiny/BPR/seed1")
    }  # fmt: skip
    assert {row.name: row.base for row in plan.rows} == {"aligned": "BPR", "BPR": None}
    assert plan.metrics == ("hit@10", "ndcg@10") and plan.correction == "holm"


def test_the_command_line_changes_a_plan(tmp_path):
    plan = read_plan(write(tmp_path), tmp_path, {"seeds": 7, "datasets": "other", "metrics": ["mrr@5"], "epochs": 1})
    assert (plan.seeds, plan.datasets, plan.metrics) == ((7,), ("other",), ("mrr@5",))
    assert plan.cells()[0].keys["epochs"] == 1
    given = read_plan(write(tmp_path), tmp_path, {"epochs": 1, "learning_rate": 0.5}).cells()
    assert [(cell.keys["epochs"], cell.keys["learning_rate"]) for cell in given[:2]] == [(1, 0.5), (1, 0.02)]


def test_chosen_rows_bring_those_that_they_lead_to(tmp_path):
    models = {
        "SASRec": None,
        "BPR": None,
        "BPR_SDA": {"base": "BPR"},
        "no CMSA": {"model": "BPR_SDA", "base": "BPR_SDA"},
        "aligned": {"model": "SASRec_SDA", "keys": {"alignment_run": {"row": "SASRec"}}},
    }
    path = write(tmp_path, models=models)

    def names(chosen):
        return [
            cell.row.name for cell in read_plan(path, tmp_path, {"models": chosen, "seeds": 1, "datasets": "d"}).cells()
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


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seed": [1]}, "unknown key 'seed'.*Did you mean 'seeds'"),
        ({"seeds": []}, "seeds is missing or empty"),
        ({"seeds": ["one"]}, "seeds=.*'one'.*whole numbers"),
        ({"seeds": -1}, r"seeds=\[-1\]: expected a list of whole numbers"),
        ({"keys": ["a"]}, "keys: expected `key: value`, found .'a'."),
        ({"dataset_keys": ["a"]}, "dataset_keys: expected `key: value`, found"),
        ({"dataset_keys": {"tiny": ["a"]}}, "dataset_keys: tiny: expected `key: value`, found"),
        ({"correction": ["holm"]}, "correction=.'holm'.: allowed are"),
        ({"models": {"BPR": {"keys": ["a"]}}}, "models: BPR: keys: expected `key: value`, found"),
        ({"models": {"BPR": {"model": None}}}, "models: BPR: model: expected a name, found None"),
        ({"models": {"BPR": {"base": 7}, 7: {"model": "BPR"}}}, "models: BPR: base: expected a name, found 7"),
        (
            {"models": {"BPR": {"keys": {"alignment_run": {"row": ["x"]}}}}},
            "keys: alignment_run: expected a name, found",
        ),
        ({"datasets": [3]}, "datasets=.*list of names"),
        ({"metrics": ["hit@5", "gini@5"]}, "metrics: 'gini@5': expected a name like hit@10"),
        ({"keys": {"seed": 3}}, "seed is set by the plan for each run; give seeds instead"),
        (
            {"models": {"BPR": {"keys": {"run_dir": "x"}}}},
            "run_dir is set by the plan for each run; give --out instead",
        ),
        ({"correction": "none"}, "correction='none': allowed are holm, benjamini-hochberg"),
        ({"dataset_keys": {"tinny": {}}}, "dataset_keys: 'tinny' is not in datasets"),
        ({"models": ["BPR"]}, "models: expected"),
        ({"models": {"BPR": {"modl": "BPR"}}}, "models: BPR: modl is not allowed"),
        ({"models": {"x": {"model": "BPR", "base": "BPT"}, "BPR": None}}, "there is no row 'BPT'"),
        ({"models": {"a b": {"model": "BPR"}, "A-b": {"model": "BPR"}}}, "would share a folder"),
    ],
)
def test_errors_name_the_place(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_plan(write(tmp_path, **changes), tmp_path)


def test_keys_of_the_command_line_that_the_plan_sets(tmp_path):
    with pytest.raises(InputError, match="dataset is set by the plan for each run; give datasets instead"):
        read_plan(write(tmp_path), tmp_path, {"dataset": "other"})


def test_rows_that_need_each_other(tmp_path):
    models = {a: {"model": "BPR_SDA", "keys": {"alignment_run": {"row": b}}} for a, b in (("x", "y"), ("y", "x"))}
    with pytest.raises(InputError, match="x, y need each other's runs"):
        read_plan(write(tmp_path, models=models), tmp_path).cells()


def test_unknown_plans_and_names(tmp_path):
    with pytest.raises(InputError, match="neither a file nor one of .*miniature"):
        find_plan("miniatur")
    assert slug("SASRec_SDA, no CMSA (α)") == "SASRec_SDA-no-CMSA-α"


@pytest.mark.parametrize("path", sorted((properties_dir() / "experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_ready_plans_hold_valid_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the miniatures of their data sets are made
    plan = read_plan(path, tmp_path, {"datasets": ["Amazon_Sports"]})
    assert plan.about and len(plan.seeds) >= 3
    for cell in plan.cells()[: len(plan.rows)]:
        cell.check()
