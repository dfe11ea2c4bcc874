from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from recbole_sda.errors import InputError
from recbole_sda.io.ids import id_of, id_text, ids_of, optional_id


@pytest.mark.parametrize(
    "value, expected",
    [
        ("B00X", "B00X"),
        ("007", "007"),
        ("1.0", "1.0"),  # a text is taken as it is written
        (" a\t b\r\n", "a b"),
        ("\ufeffa", "a"),
        (b"a", "a"),
        (7, "7"),
        (0, "0"),
        (-3, "-3"),
        (10**20, "1" + "0" * 20),
        (7.0, "7"),
        (np.int32(7), "7"),
        (np.float32(7), "7"),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), "a"),
        (Decimal("7.00"), "7"),
    ],
)
def test_one_form_for_the_same_id(value, expected):
    assert id_of(value, "f") == expected and id_of(id_of(value, "f"), "f") == expected


@pytest.mark.parametrize(
    "value", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, Decimal("nan"), "", " \r\n", "\ufeff", b""]
)
def test_what_is_missing_is_no_id(value):
    assert optional_id(value, "f") is None
    with pytest.raises(InputError, match="f: an id is missing"):
        id_of(value, "f")


@pytest.mark.parametrize(
    "value, reason",
    [
        (1.5, "not whole"),
        (2.0**60, "too large to be exact"),
        (float("inf"), "not whole"),
        (True, "type bool"),
        (np.True_, "type bool"),
        (["a"], "type list"),
        ({"id": "a"}, "type dict"),
        (pd.Timestamp(0), "type Timestamp"),
        (b"\xff", "not text in UTF-8"),
        ("[PAD]", "stands for no item"),
    ],
)
def test_what_is_no_id_is_refused(value, reason):
    with pytest.raises(InputError, match=f"f, row 2: .*{reason}"):
        ids_of(["a", value], "f")


def test_texts_are_not_checked():
    assert id_text("[PAD] ") == "[PAD]"


def test_an_id_with_a_nul_character():
    with pytest.raises(InputError, match="x.csv, line 2: .* is no id: it has a NUL character"):
        id_of("a\0b", "x.csv, line 2")
