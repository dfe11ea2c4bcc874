"""What each stage of a search tries, planned without Ray."""

import pytest

from recbole_sda.errors import InputError
from recbole_sda.tune.space import Domain, Space
from recbole_sda.tune.stages import Stage, StagedSpace, StagePlanner

DEFAULTS = {"a": 1, "b": 0.0, "c": "x", "flag": True}


def resolve(settings: dict) -> dict:
    if settings.get("a", 1) == 3 and settings.get("b", 0) > 0:
        raise InputError("b above 0 needs another a than 3")
    return {**DEFAULTS, **settings}


def grid(**choices) -> Space:
    return Space({key: Domain("choice", values) for key, values in choices.items()}, samples=None)


def settings_of(plan) -> list:
    return [trial.settings for trial in plan.trials]


def test_a_stage_fixes_the_best_settings_and_tries_them_as_they_are():
    planner = StagePlanner(resolve)
    first = planner.plan(grid(a=[2, 3]), {})
    assert settings_of(first) == [{"a": 1}, {"a": 2}, {"a": 3}] and first.refused == []
    second = planner.plan(grid(b=[0.1, 0.2]), {"a": 2})
    assert settings_of(second) == [{"a": 2, "b": 0.0}, {"a": 2, "b": 0.1}, {"a": 2, "b": 0.2}]
    assert [trial.trained for trial in second.trials] == [{"a": 2}, *settings_of(second)[1:]]


def test_a_key_is_refined_in_a_later_stage():
    planner = StagePlanner(resolve)
    planner.plan(grid(a=[1, 2]), {})
    planner.plan(grid(b=[0.1]), {"a": 2})
    third = planner.plan(grid(a=[4, 2, 1]), {"a": 2, "b": 0.1})
    assert settings_of(third) == [{"a": 2, "b": 0.1}, {"a": 4, "b": 0.1}, {"a": 1, "b": 0.1}]
    back = planner.plan(grid(b=[0.0]), {"a": 2, "b": 0.1})
    assert back.trials[1].settings == {"a": 2, "b": 0.0} and back.trials[1].trained == {"a": 2}


def test_equal_configurations_are_one_trial():
    planner = StagePlanner(resolve)
    plan = planner.plan(grid(b=[0, 0.0, 0.5], flag=[True, 1]), {})
    assert settings_of(plan) == [
        {"b": 0.0, "flag": True},
        {"b": 0, "flag": 1},  # 1 is not true: a configuration refuses one of the two
        {"b": 0.5, "flag": True},
        {"b": 0.5, "flag": 1},
    ]


def test_a_refused_configuration_is_named_and_skipped():
    planner = StagePlanner(resolve)
    plan = planner.plan(grid(b=[0.1, 0.0]), {"a": 3})
    assert settings_of(plan) == [{"a": 3, "b": 0.0}]
    assert plan.refused == [({"a": 3, "b": 0.1}, "b above 0 needs another a than 3")]


def test_given_keys_that_are_refused_alone_do_not_stop_the_first_stage():
    def needs_c(settings: dict) -> dict:
        if "c" not in settings:
            raise InputError("c is missing")
        return {**DEFAULTS, **settings}

    plan = StagePlanner(needs_c).plan(grid(c=["y"]), {})
    assert settings_of(plan) == [{"c": "y"}] and plan.refused == [({}, "c is missing")]


def test_a_key_without_a_default_is_not_invented():
    assert settings_of(StagePlanner(resolve).plan(grid(new=[1]), {})) == [{}, {"new": 1}]


def test_options_of_the_command_line_hold_in_every_stage():
    lists, numbers = grid(a=[1, 2]), Space({"b": Domain("uniform", [0, 1])})
    space = StagedSpace((Stage("lists", lists), Stage("numbers", numbers)))
    changed = space.changed({"samples": 3, "grace_epochs": 2}, "command line")
    assert [(one.name, one.space.samples, one.space.grace_epochs) for one in changed.stages] == [
        ("lists", 3, 2),
        ("numbers", 3, 2),
    ]
    with pytest.raises(
        InputError, match="^command line: stage numbers: samples=grid allows only choices; b is uniform"
    ):
        space.changed({"samples": "grid"}, "command line")
