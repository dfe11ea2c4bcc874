"""Atomic files as tables of texts."""

import pytest

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_table import read_atomic


def test_texts_under_names_without_types(tmp_path):
    path = tmp_path / "t.item"
    path.write_text('item_id:token\ttitle:token_seq\n007\t"a b\n8\t\n')
    assert read_atomic(path).to_dict("list") == {"item_id": ["007", "8"], "title": ['"a b', ""]}


@pytest.mark.parametrize("rows", ["1\t2\t9\n3\t4\n", "1\t2\n3\t4\t5\n", "1\t2\t9\n3\t4\t5\n", "1\t2\n3\n"])
def test_a_row_of_another_width_is_refused_wherever_it_is(tmp_path, rows):
    """A longer first row, after which pandas would cut all rows, is one too."""
    path = tmp_path / "t.item"
    path.write_text(f"a:token\tb:token\n{rows}")
    with pytest.raises(InputError, match="t.item"):
        read_atomic(path)
