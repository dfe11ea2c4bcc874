"""Reading plans: what a file or dict may contain, and errors that name the place."""

from pathlib import Path

import pytest
import yaml

from recbole_sda.comparison.read_plan import read_plan
from recbole_sda.errors import InputError


def test_the_command_line_changes_a_plan(plan_file, tmp_path):
    plan = read_plan(plan_file(), tmp_path, {"seeds": 7, "datasets": "other", "metrics": ["mrr@5"], "epochs": 1})
    assert (plan.seeds, plan.datasets, plan.metrics) == ((7,), ("other",), ("mrr@5",))
    assert plan.runs()[0].keys["epochs"] == 1
    given = read_plan(plan_file(), tmp_path, {"epochs": 1, "learning_rate": 0.5}).runs()
    assert [(run.keys["epochs"], run.keys["learning_rate"]) for run in given[:2]] == [(1, 0.5), (1, 0.02)]


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
        ({"metrics": ["hit@5", "gini@5"]}, "metrics: 'gini@5': expected a name such as hit@10"),
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
        ({"also": ["uni100"]}, "plan.yaml: also: expected `key: value`, found"),
        ({"also": {"uni100": None}}, "also: uni100: expected keys of the evaluation, as eval_args"),
        ({"also": {"uni100": ["a"]}}, "also: uni100: expected `key: value`, found"),
        (
            {"also": {"uni100": {"eval_args": "uni100"}}},
            "also: uni100: eval_args: expected `key: value`, found 'uni100'",
        ),
        (
            {"also": {"uni100": {"learning_rate": 0.1}}},
            "plan.yaml: also: uni100: 'learning_rate' is not a key of the evaluation of a finished run; allowed are .*eval_args, ",
        ),
        ({"also": {"uni100": {"eval_arg": {}}}}, "also: uni100: 'eval_arg' is not a key .*Did you mean 'eval_args'"),
        ({"also": {"gpu": {"use_gpu": False}}}, "also: gpu: 'use_gpu' is not a key of the evaluation"),
        ({"groups": ["cool"]}, "groups='cool': allowed are tail, cold, warm"),
        ({"also": {"tail": {"topk": [5]}}}, "also: tail: all, tail, cold, warm are names of columns"),
        ({"also": {"a b": {"topk": [5]}, "A-b": {"topk": [5]}}}, "also: 'a b' and 'A-b' would share a folder"),
        ({"also": {"..": {"topk": [5]}}}, r"also: '\.\.': expected a name with a letter or a digit"),
        ({"models": {"..": {"model": "BPR"}}}, r"models: '\.\.': expected a name with a letter or a digit"),
        ({"models": {"a b": {"model": "BPR"}, "A-b": {"model": "BPR"}}}, "would share a folder"),
    ],
)
def test_errors_name_the_place(plan_file, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_plan(plan_file(**changes), tmp_path)


def test_further_protocols(plan_file, tmp_path):
    uni100, top5 = {"eval_args": {"mode": "uni100"}}, {"topk": [5], "valid_metric": "NDCG@5"}
    plan = read_plan(plan_file(also={"uni100": uni100}), tmp_path)
    assert plan.also == {"uni100": uni100}
    assert [str(job) for job in plan.jobs()[:3]] == [
        "BPR on tiny, seed 1", "uni100 of BPR on tiny, seed 1", "aligned on tiny, seed 1"
    ]  # fmt: skip
    assert plan.jobs()[1].folder == tmp_path / "tiny/BPR/seed1/protocols/uni100"
    assert read_plan(plan_file(also={"uni100": uni100}), tmp_path, {"also": {"top 5": top5}}).also == {"top 5": top5}
    assert read_plan(plan_file(), tmp_path).also == {}


def test_keys_of_the_command_line_that_the_plan_sets(plan_file, tmp_path):
    with pytest.raises(InputError, match="dataset is set by the plan for each run; give datasets instead"):
        read_plan(plan_file(), tmp_path, {"dataset": "other"})


def test_a_dict_is_a_plan_too(plan_file, tmp_path):
    path = plan_file(title="My  comparison, 1")
    values = yaml.safe_load(path.read_text())
    assert read_plan(values, tmp_path) == read_plan(path, tmp_path) == read_plan(str(path), tmp_path)
    assert values == yaml.safe_load(path.read_text())  # unchanged
    assert read_plan(path).out == Path("runs/compare/plan")
    assert read_plan(values).out == Path("runs/compare/My-comparison-1")
    with pytest.raises(InputError, match="^plan: unknown key 'seed'"):
        read_plan({**values, "seed": 1})


def test_packaged_plans_are_read_by_name(tmp_path):
    assert read_plan("miniature", tmp_path).datasets == ("Amazon_Sports",)
    with pytest.raises(InputError, match="plan=miniatur: neither a file nor one of .*miniature"):
        read_plan("miniatur")
