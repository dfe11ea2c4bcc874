"""Tables and pages of recommendations."""

import io
import re
from base64 import b64decode

import pandas as pd
import pytest

from recbole_sda.recommend import output
from recbole_sda.recommend.item_titles import Item

ITEMS = {"a": Item("A <b>bold</b> title", None), "b": Item(None, None)}


def block(user: str, new: bool = False) -> pd.DataFrame:
    return pd.DataFrame(
        {"user_id": [user] * 2, "rank": [1, 2], "item_id": ["a", "b"], "score": [2.0, 1.0], "new": [False, new]}
    )


@pytest.mark.parametrize("suffix, read", [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_tables_are_whole_or_not_there(tmp_path, suffix, read):
    out = tmp_path / "deep" / f"top{suffix}"
    titles = [{"other": Item("t", None)}, ITEMS]  # the first block has none
    assert output.write_table((output.with_titles(block(u), t) for u, t in zip("xy", titles)), out) == 4
    table = read(out)
    assert table["user_id"].tolist() == list("xxyy") and table["title"].isna().tolist() == [True, True, False, True]

    def broken():
        yield block("x")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        output.write_table(broken(), tmp_path / f"half{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_a_page_shows_history_and_recommendations(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "MAX_SHOWN", 2)
    blocks = (block(user, new=True) for user in ("u<1>", "u2", "u3"))
    n = output.write_page(blocks, tmp_path / "p.html", ITEMS, lambda user: ["b"] * 9, "T & t", "about")
    text = (tmp_path / "p.html").read_text()
    assert n == 2 and "u3" not in text and "User u&lt;1&gt;" in text and "T &amp; t" in text
    assert text.count("A &lt;b&gt;bold&lt;/b&gt; title") == 2 and text.count(">new<") == 2
    assert "last 6 of 9 items" in text and text.count("<figure>") == 2 * (6 + 2) and "No item has a title" not in text
    table = pd.read_csv(io.BytesIO(b64decode(re.search('href="data:text/csv;base64,([^"]+)"', text)[1])))
    assert table["item_id"].tolist() == list("abab") and table["title"][0] == "A <b>bold</b> title"
    assert re.findall('<a href="#(u.)">', text) == re.findall('<h2 id="(u.)">', text) == ["u1", "u2"]


def test_a_page_without_titles_names_the_option(tmp_path):
    output.write_page([block("u")], tmp_path / "p.html", {"a": Item(None, None)}, lambda user: [], "T", "about")
    assert "recommend --title-field=FIELD" in (tmp_path / "p.html").read_text()


def test_a_csv_has_no_formulas(tmp_path):
    frame = block("=1+2").assign(item_id=["@SUM(1+1)", "-5"], title=["+cmd|' /C calc'!A0", "a, b"])
    output.write_table([frame], tmp_path / "top.csv")
    table = pd.read_csv(tmp_path / "top.csv", dtype=str)
    assert table["user_id"].tolist() == ["'=1+2"] * 2 and table["item_id"].tolist() == ["'@SUM(1+1)", "-5"]
    assert table["title"].tolist() == ["'+cmd|' /C calc'!A0", "a, b"] and table["score"].tolist() == ["2.0", "1.0"]
    output.write_table([frame], tmp_path / "top.parquet")
    assert pd.read_parquet(tmp_path / "top.parquet")["user_id"].tolist() == ["=1+2"] * 2
