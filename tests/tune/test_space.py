"""Reading search spaces: ours and RecBole's."""

import math

import pytest

from recbole_sda.errors import InputError
from recbole_sda.tune.space import Domain, Space, find_space, read_space


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


def test_no_setting_is_tried_twice():
    choices = {"a": Domain("choice", [1, 2, 3]), "b": Domain("choice", [True, None])}
    every = [{"a": a, "b": b} for a in (1, 2, 3) for b in (True, None)]
    assert Space(choices, samples=None).settings() == Space(choices, samples=20).settings() == every
    some = Space(choices, samples=5).settings()
    assert len(some) == 5 and all(some.count(one) == 1 and one in every for one in some)
    assert sorted(one["n"] for one in Space({"n": Domain("randint", [0, 3])}, samples=9).settings()) == [0, 1, 2]


def test_recboles_own_file(tmp_path):
    path = tmp_path / "hyper.test"
    path.write_text(
        "learning_rate loguniform -8, -4\n# a comment\n\nembedding_size choice [64, 128]\ntype choice ['a','b']\nx quniform 1,9,2\n"
    )
    domains = read_space(path).domains
    assert domains["learning_rate"].values == pytest.approx([math.exp(-8), math.exp(-4)])
    assert domains["embedding_size"] == Domain("choice", [64, 128]) and domains["type"].values == ["a", "b"]
    assert domains["x"] == Domain("quniform", [1, 9, 2])


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


def test_every_shipped_space_is_read_and_its_keys_are_known():
    from recbole_sda.config.known_keys import check_keys
    from recbole_sda.io.yaml import properties_dir

    paths = sorted((properties_dir() / "search").glob("*.yaml"))
    assert paths
    for path in paths:
        check_keys(
            list(read_space(path).domains),
            "SASRec_SDA" if "base" not in path.stem else "SASRec",
            str(path),
            strict=True,
        )
