"""Options of the benchmarks' command lines."""

import pytest

from recbole_sda.errors import InputError


@pytest.fixture
def options(script):
    return script("options")


def test_options_are_taken_and_other_keys_are_left(options):
    keys = {"rounds": 2, "dry_run": True, "hidden_size": 8}
    assert options.take(keys, rounds=9, sizes=[1, 2], dry_run=False, out="x") == [2, [1, 2], True, "x"]
    assert keys == {"hidden_size": 8}


@pytest.mark.parametrize(
    "name, value, default",
    [
        ("rounds", 0, 9), ("rounds", 1.5, 9), ("rounds", "x", 9), ("rounds", True, 9), ("rounds", None, 9), ("sizes", [], [1]),
        ("sizes", 3, [1]), ("sizes", [1, -2], [1]), ("sizes", [[1]], [1]), ("models", "SASRec", ["SASRec"]), ("models", [3], ["B"]),
        ("dry_run", 1, False), ("out", "", "x"), ("out", 3, "x"), ("out", ["x"], "x"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(options, name, value, default):
    with pytest.raises(InputError, match=f"{name}="):
        options.take({name: value}, **{name: default})


def test_an_unknown_option_is_named_with_the_nearest(options):
    options.check_none_left({}, ("rounds",))
    with pytest.raises(InputError, match="--round is no option .* Did you mean 'rounds'"):
        options.check_none_left({"round": 3}, ("rounds", "steps"))
    with pytest.raises(InputError, match="rows='MoDo'"):
        options.check_names("rows", ["MoDA", "MoDo"], ("MoDA",))
