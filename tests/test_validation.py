"""Checks of values: what is accepted, what is refused, and what the message says."""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import pytest

from recbole_sda.errors import InputError
from recbole_sda.validation import (
    AT_LEAST_ONE,
    POSITIVE,
    SHARE,
    Range,
    check_bool,
    check_choice,
    check_settings,
    file_or_properties_file,
    properties_file,
)


@pytest.mark.parametrize(
    "allowed, value, message",
    [
        (POSITIVE, 0, "x=0: expected a number above 0"),
        (AT_LEAST_ONE, 0.5, "x=0.5: expected a number at least 1"),
        (SHARE, 1, "x=1: expected a number at least 0 and below 1"),
        (Range(0, 1, closed_high=True), 1.5, "x=1.5: expected a number at least 0 and at most 1"),
        (Range(), "1", "x='1': expected a number$"),
        (Range(), True, "x=True: expected a number$"),
        (Range(), float("nan"), "x=nan: expected a finite number$"),
        (POSITIVE, float("inf"), "x=inf: expected a finite number above 0$"),
    ],
)
def test_numbers_out_of_range(allowed, value, message):
    with pytest.raises(InputError, match=message):
        allowed.check("x", value)


def test_numbers_in_range():
    assert Range(0, 1, closed_high=True).check("x", 1) == 1.0
    assert POSITIVE.check("x", 1e-9) == 1e-9
    assert AT_LEAST_ONE.check("x", 3.0, whole=True) == 3
    with pytest.raises(InputError, match="x=3.5: expected a whole number at least 1"):
        AT_LEAST_ONE.check("x", 3.5, whole=True)


def test_choices_and_truth_values():
    assert check_choice("x", "mean", ("mean", "last")) == "mean"
    with pytest.raises(InputError, match="x='maen': allowed are mean, last. Did you mean 'mean'?"):
        check_choice("x", "maen", ("mean", "last"))
    assert check_bool("x", False) is False
    with pytest.raises(InputError, match="x=0: expected true or false"):
        check_bool("x", 0)


@dataclass(frozen=True)
class Settings:
    number: int
    share: float
    text: Optional[str]
    names: Optional[Tuple[str, ...]]
    limits: Dict[str, int]
    flag: bool
    kind: str


GOOD = {"number": 2, "share": 0, "text": 5, "names": "a", "limits": {"title": 3}, "flag": True, "kind": "b"}


def settings_of(**changes):
    return check_settings(Settings, {**GOOD, **changes}, {"share": SHARE}, {"kind": ("a", "b")})


def test_settings_take_their_final_types():
    assert settings_of() == Settings(2, 0.0, "5", ("a",), {"title": 3}, True, "b")
    assert settings_of(text=None, names=None).names is None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"number": None}, "number is empty: a value is needed"),
        ({"number": 1.5}, "number=1.5: expected a whole number"),
        ({"share": 1}, "share=1: expected a number at least 0 and below 1"),
        ({"text": {"a": 1}}, "text={'a': 1}: expected a text"),
        ({"names": 3}, "names=3: expected a list"),
        ({"limits": {"title": 0}}, "limits={'title': 0}: expected field: words"),
        ({"flag": "yes"}, "flag='yes': expected true or false"),
        ({"kind": "c"}, "kind='c': allowed are a, b"),
    ],
)
def test_settings_that_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        settings_of(**changes)


def test_packaged_files_by_name(tmp_path):
    assert properties_file("preset", "paper", "preset").name == "paper.yaml"
    with pytest.raises(InputError, match="preset='papre': there is paper, .*Did you mean 'paper'?"):
        properties_file("preset", "papre", "preset")
    own = tmp_path / "own.yaml"
    own.write_text("a: 1")
    assert file_or_properties_file("--tune", str(own), "search") == own
    assert file_or_properties_file("--tune", "sda", "search").is_file()
    with pytest.raises(InputError, match="--tune=nothing: neither a file nor one of content, general, sda"):
        file_or_properties_file("--tune", "nothing", "search")
