import pytest

from dataset_prep.interactions import token
from dataset_prep.items import clean, price_of


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


def test_bytes_are_text():
    """As Parquet gives strings without the mark of UTF-8."""
    assert token(b"i0") == "i0" and clean("é".encode()) == "é"
