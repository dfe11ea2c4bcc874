"""Settings that a search takes from a space."""

import pytest

from recbole_sda.errors import InputError
from recbole_sda.tune.space import Domain, Space

ENCODERS = [{"item_encoder": "moda", "cmsa_weight": 0.1}, {"item_encoder": "identity", "cmsa_weight": 0.0}]


def test_no_setting_is_tried_twice():
    choices = {"a": Domain("choice", [1, 2, 3]), "b": Domain("choice", [True, None])}
    every = [{"a": a, "b": b} for a in (1, 2, 3) for b in (True, None)]
    assert Space(choices, samples=None).settings() == Space(choices, samples=20).settings() == every
    some = Space(choices, samples=5).settings()
    assert len(some) == 5 and all(some.count(one) == 1 and one in every for one in some)
    assert sorted(one["n"] for one in Space({"n": Domain("randint", [0, 3])}, samples=9).settings()) == [0, 1, 2]


def test_values_that_belong_together_are_tried_together():
    domains = {"encoder": Domain("together", ENCODERS), "n_layers": Domain("choice", [1, 2])}
    every = [{**encoder, "n_layers": n} for encoder in ENCODERS for n in (1, 2)]
    space = Space(domains, samples=None)
    assert space.keys == ["item_encoder", "cmsa_weight", "n_layers"]
    assert space.settings() == Space(domains, samples=4).settings() == every
    drawn = Space({**domains, "dropout": Domain("uniform", [0, 0.5])}, samples=6).settings()
    assert len(drawn) == 6
    pairs = [{key: one[key] for key in ENCODERS[0]} for one in drawn]
    assert all(pair in ENCODERS for pair in pairs) and all(set(one) == {*space.keys, "dropout"} for one in drawn)
    assert ENCODERS[0] in pairs and ENCODERS[1] in pairs


def test_a_grid_needs_lists():
    space = Space({"encoder": Domain("together", ENCODERS)})
    assert space.changed({"samples": "grid"}, "x").samples is None
    with pytest.raises(InputError, match="^x: samples=grid allows only choices; dropout is uniform$"):
        Space({"dropout": Domain("uniform", [0, 1])}).changed({"samples": "grid"}, "x")


def test_a_grid_of_too_many_trials_is_refused():
    space = Space({f"key{k}": Domain("choice", list(range(60))) for k in range(6)})
    with pytest.raises(InputError, match="samples=grid makes 46,656,000,000 trials: expected at most 100,000"):
        space.changed({"samples": "grid"}, "s.yaml")
