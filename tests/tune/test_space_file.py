"""Reading search spaces: plain ones, stages, and RecBole's files."""

import math

import pytest

from recbole_sda.errors import InputError
from recbole_sda.tune.space import Domain, Space
from recbole_sda.tune.space_file import find_space, read_space
from recbole_sda.tune.stages import Stage, StagedSpace


def test_a_yaml_space(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "samples: 7\nspace:\n  dropout: {uniform: [0, 0.5]}\n  n_layers: [1, 2]\n  lr: {loguniform: [1e-4, 1e-2]}\n"
    )
    space = read_space(path)
    assert space.samples == 7 and space.grace_epochs == 5
    assert space.domains["n_layers"] == Domain("choice", [1, 2])
    drawn = space.settings()
    assert len(drawn) == 7 and drawn == space.settings() != space.changed({"seed": 1}, "x").settings()
    assert all(
        1e-4 <= one["lr"] <= 1e-2 and one["n_layers"] in (1, 2) and type(one["dropout"]) is float for one in drawn
    )


def test_recboles_own_file(tmp_path):
    path = tmp_path / "hyper.test"
    path.write_text(
        "learning_rate loguniform -8, -4\n# comment\n\nembedding_size choice [64, 128]\ntype choice ['a','b']\nx quniform 2,10,2\n"
    )
    domains = read_space(path).domains
    assert domains["learning_rate"].values == pytest.approx([math.exp(-8), math.exp(-4)])
    assert domains["embedding_size"] == Domain("choice", [64, 128]) and domains["type"].values == ["a", "b"]
    assert domains["x"] == Domain("quniform", [2, 10, 2])


@pytest.mark.parametrize(
    "text, message",
    [
        ("spaces: {a: [1]}", "unknown key 'spaces'.*Did you mean 'space'"),
        ("samples: 3", "space is missing"),
        ("space: {a: {chose: [1]}}", "a=.*expected one of choice"),
        ("space: {a: {uniform: [1]}}", "expected a list of 2 values"),
        ("space: {a: {uniform: [2, 1]}}", "lower one first"),
        ("space: {a: {loguniform: [0, 1]}}", "both above 0"),
        ("samples: 0\nspace: {a: [1]}", "samples=0: expected a whole number of at least 1"),
        ("samples: grid\nspace: {a: {uniform: [0, 1]}}", "allows only choices; a is uniform"),
        ("reduction: 1\nspace: {a: [1]}", "reduction=1"),
        ("space: {e: {together: [1]}}", "e: together: 1: expected a mapping"),
        ("space: {e: {together: [{a: 1}, 2]}}", "e: together: 2: expected a mapping"),
        ("space: {e: {together: [{}]}}", "e: together: {}: expected a mapping"),
        ("space: {e: {together: {a: 1}}}", "e: together={'a': 1}: expected a list of one or more values"),
        ("space: {e: {together: [{a: 1, b: 2}, {a: 1}]}}", "{'a': 1}: expected the keys of the first mapping, a, b"),
        ("space: {e: {together: [{a: 1}]}, a: [1]}", "a has values in more than one line of space"),
        ("stages: []", "stages=.*expected a list"),
        ("stages: {a: 1}", "stages={'a': 1}: expected a list"),
        ("stages: [5]", "stage 1: 5: expected"),
        ("stages: [{space: {a: [1]}}]", "stage 1: name=None: expected letters"),
        ("stages: [{name: a/b, space: {a: [1]}}]", "stage 1: name='a/b': expected letters"),
        ("stages: [{name: x, space: {a: [1]}}, {name: x, space: {b: [1]}}]", "stage 2: name='x' is the name of an"),
        ("stages: [{name: x, spaces: {a: [1]}}]", "stage x: unknown key 'spaces'.*Did you mean 'space'"),
        ("stages: [{name: x, samples: 3}]", "stage x: space is missing"),
        ("stages: [{name: x, samples: 0, space: {a: [1]}}]", "stage x: samples=0: expected"),
        ("samples: grid\nstages: [{name: x, space: {a: {uniform: [0, 1]}}}]", "stage x: samples=grid allows only"),
        ("stages: [{name: x, space: {a: {uniform: [1]}}}]", "stage x: a: uniform=.*expected a list of 2 values"),
        ("space: {a: [1]}\nstages: [{name: x, space: {a: [1]}}]", "space and stages are both given"),
        ("name: x\nspace: {a: [1]}", "unknown key 'name'"),
        ("name: x\nstages: [{name: x, space: {a: [1]}}]", "unknown key 'name'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"a.yaml: .*{message}"):
        read_space(path)


def test_a_value_that_is_written_twice_is_tried_once(tmp_path):
    (tmp_path / "a.yaml").write_text("samples: grid\nspace: {learning_rate: [0.1, 0.10, 1], id_shrinkage: [1, true]}")
    assert len(read_space(tmp_path / "a.yaml").settings()) == 4


def test_a_bad_line_of_recboles_file_is_named(tmp_path):
    path = tmp_path / "hyper.test"
    path.write_text("a choice [1]\nb chose [1]\n")
    with pytest.raises(InputError, match="line 2: 'b chose"):
        read_space(path)
    with pytest.raises(InputError, match="neither a file nor one of"):
        find_space("nothing")


def test_stages_take_what_they_leave_out_from_the_top(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "samples: 7\ngrace_epochs: 2\nstages:\n"
        "- {name: first, space: {a: [1, 2]}, samples: grid}\n"
        "- {name: second, space: {a: {uniform: [0, 1]}}, grace_epochs: 3, reduction: 2, seed: 4}\n"
    )
    space = read_space(path)
    one = Space({"a": Domain("choice", [1, 2])}, samples=None, grace_epochs=2)
    two = Space({"a": Domain("uniform", [0, 1])}, samples=7, grace_epochs=3, reduction=2, seed=4)
    assert space == StagedSpace((Stage("first", one), Stage("second", two)))


def test_values_that_belong_together_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "space: {e: {together: [{x: 1, y: 2}, {y: 3, x: null}, {x: 1, y: 2}]}, z: [{u: 1}]}"
    )
    domains = read_space(tmp_path / "a.yaml").domains
    assert domains["e"] == Domain("together", [{"x": 1, "y": 2}, {"x": None, "y": 3}])
    assert domains["z"] == Domain("choice", [{"u": 1}])  # a key whose value is a mapping
    (tmp_path / "a.test").write_text("e together [{x: 1}]")
    with pytest.raises(InputError, match="line 1"):  # RecBole has no such kind
        read_space(tmp_path / "a.test")


def shipped(name: str):
    return read_space(find_space(name))


def test_every_shipped_space_is_read_and_its_keys_are_known():
    from recbole_sda.config.known_keys import check_keys
    from recbole_sda.io.yaml import properties_dir

    paths = sorted((properties_dir() / "search").glob("*.yaml"))
    assert paths
    for path in paths:
        space = read_space(path)
        for one in [stage.space for stage in space.stages] if isinstance(space, StagedSpace) else [space]:
            for model in ("BPR", "LightGCN_SDA", "VBPR_SDA") if path.stem == "general" else ("SASRec_SDA",):
                assert check_keys(one.keys, model, str(path), strict=True) == []


def test_the_space_of_content_is_for_every_sda_model_and_about_forty_trials():
    from recbole_sda.config.known_keys import check_keys
    from recbole_sda.model.registry import sda_models

    stages = shipped("content").stages
    assert [stage.name for stage in stages] == ["start", "smoothing", "targets", "encoder", "rates"]
    for model in sda_models():
        for stage in stages:
            assert check_keys(stage.space.keys, model, "content", strict=True) == []
    assert 30 <= sum(len(stage.space.settings()) for stage in stages) <= 45


def test_the_space_of_content_repeats_the_defaults_exactly():
    """So that they are one trial with the settings so far."""
    from recbole_sda.io.yaml import properties_dir, read_yaml

    defaults = read_yaml(properties_dir() / "sda.yaml")
    stages = {stage.name: stage.space.settings() for stage in shipped("content").stages}
    for name in ("start", "targets", "encoder"):
        assert {key: defaults[key] for key in stages[name][0]} in stages[name]


def test_lists_in_quotes_of_recboles_own_files(tmp_path):
    """As in RecBole's hyper.test files: a list in quotes is a list, a word stays a word."""
    path = tmp_path / "hyper.test"
    path.write_text(
        """mlp_hidden_size choice ['[64,64,64]','[128, 128]']\nlearner choice ['adam', "sgd"]\nlayers choice [1, '2']\n"""
    )
    domains = read_space(path).domains
    assert domains["mlp_hidden_size"].values == [[64, 64, 64], [128, 128]]
    assert domains["learner"].values == ["adam", "sgd"] and domains["layers"].values == [1, 2]
