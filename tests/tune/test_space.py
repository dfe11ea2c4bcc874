"""Reading search spaces: ours and RecBole's."""

import math

import pytest

from recbole_sda.errors import InputError
from recbole_sda.tune.space import Domain, find_space, read_space


def test_a_yaml_space(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "samples: 7\nspace:\n  dropout: {uniform: [0, 0.5]}\n  n_layers: [1, 2]\n  lr: {loguniform: [1e-4, 1e-2]}\n"
    )
    space = read_space(path)
    assert space.samples == 7 and space.grace_epochs == 5
    assert space.domains["n_layers"] == Domain("choice", [1, 2])
    assert space.for_ray()["lr"].lower == 1e-4


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
        ("samples: grid\nspace: {a: {uniform: [0, 1]}}", "needs choices alone; a is uniform"),
        ("reduction: 1\nspace: {a: [1]}", "reduction=1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"a.yaml: .*{message}"):
        read_space(path)


def test_a_bad_line_of_recboles_file_is_named(tmp_path):
    path = tmp_path / "hyper.test"
    path.write_text("a choice [1]\nb chose [1]\n")
    with pytest.raises(InputError, match="line 2: 'b chose"):
        read_space(path)
    with pytest.raises(InputError, match="neither a file nor one of"):
        find_space("nothing")


def test_every_shipped_space_is_read_and_its_keys_are_known():
    from recbole_sda.config import check_keys
    from recbole_sda.files import properties_dir

    paths = sorted((properties_dir() / "search").glob("*.yaml"))
    assert paths
    for path in paths:
        check_keys(
            list(read_space(path).domains),
            "SASRec_SDA" if "base" not in path.stem else "SASRec",
            str(path),
            strict=True,
        )
