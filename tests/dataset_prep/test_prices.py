"""Prices as numbers."""

import pytest

from dataset_prep.prices import is_no_price, price_of


@pytest.mark.parametrize(
    "text, price",
    [
        ("$1,299.00 - $1,500.00", 1299.0),
        ("12,99 €", 12.99),
        ("1.299,00 EUR", 1299.0),
        ("1,299", 1299.0),
        ("1,299,000", 1299000.0),
        ("1.299.000", 1299000.0),
        ("3.5", 3.5),
        ("7.", 7.0),
        ("free", None),
        (4, 4.0),
        ("from $3", 3.0),
        ("US$ 12.50 (2 for 20)", 12.5),
        ("Rs. 500", 500.0),
        (float("nan"), None),
        (-1, None),
        ("-5.00", None),
        (True, None),
        (["$3"], None),
        (".a-box{background-color:#fff}#buy{color:#c45500;font-size:13px}", None),
        ("#45500", None),
    ],
)
def test_prices(text, price):
    assert price_of(text) == price


def test_what_means_that_there_is_no_price():
    assert all(map(is_no_price, (None, float("nan"), "", " None ", "—")))
    assert not any(map(is_no_price, ("free", 3, ".a{color:#c45500}")))
