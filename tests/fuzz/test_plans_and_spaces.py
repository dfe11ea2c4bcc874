"""Malformed plans of comparisons and search spaces: refused in one line that names the file."""

import json

from malformed import not_text, odd_yaml, other_values

from recbole_sda.comparison.read_plan import read_plan
from recbole_sda.tune.space_file import read_space

PLAN = {
    "title": "T",
    "datasets": ["tiny"],
    "seeds": [1, 2],
    "keys": {"epochs": 3},
    "dataset_keys": {"tiny": {"learning_rate": 0.01}},
    "models": {"ours": {"model": "BPR_SDA", "base": "BPR", "keys": {"learning_rate": 0.02}}, "BPR": None},
    "metrics": ["hit@10"],
    "groups": ["tail"],
    "also": {"uni5": {"eval_args": {"mode": "uni5"}}},
    "correction": "holm",
}
SPACE = {
    "samples": 4,
    "seed": 1,
    "grace_epochs": 2,
    "reduction": 3,
    "space": {
        "learning_rate": {"loguniform": [0.001, 0.1]},
        "weight_decay": {"quniform": [0.0, 1.0, 0.1]},
        "n_layers": {"randint": [1, 4]},
        "loss": {"choice": ["CE", "BPR"]},
        "pair": {"together": [{"a": 1, "b": 2}, {"a": 2, "b": 3}]},
    },
}


def test_plans(tmp_path, outcomes):
    """Taken: values of keys of runs, which each run checks, and titles."""
    path = tmp_path / "plan.yaml"
    for name, content in [*list(other_values(PLAN))[::3], *odd_yaml(), *not_text()]:
        path.write_bytes(content)
        outcomes.try_file(name, path, read_plan, str(path))
    outcomes.check(120, 80)


def test_spaces(tmp_path, outcomes):
    """Taken: values of choices, which each trial checks."""
    path = tmp_path / "space.yaml"
    for name, content in [*list(other_values(SPACE))[::3], *odd_yaml(), *not_text()]:
        path.write_bytes(content)
        outcomes.try_file(name, path, read_space, path)
    outcomes.check(120, 90)


def test_recbole_spaces(tmp_path, outcomes):
    path = tmp_path / "space.test"
    lines = ["a", "a choice", "a choice [", "a choice {x: 1}", "a uniform [nan,1]", "a uniform [1,.inf]", "a loguniform [0,9999]",
             "a quniform [0,1,0]", "a randint [0.5,2]", "a choice [*b]", "a nothing [1]", "a uniform 5"]  # fmt: skip
    for name, content in [*((line, line.encode()) for line in lines), *not_text()]:
        path.write_bytes(content)
        outcomes.try_file(name, path, lambda: read_space(path).settings())
    outcomes.check(20, 1)


def test_sound_ones(tmp_path):
    for name, sound, read in (("plan.yaml", PLAN, read_plan), ("space.yaml", SPACE, read_space)):
        (tmp_path / name).write_text(json.dumps(sound))
        read(str(tmp_path / name))
