"""Fields of items."""

import pytest

from dataset_prep.items import price_of


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
    ],
)
def test_prices(text, price):
    assert price_of(text) == price
