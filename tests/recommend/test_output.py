"""Tables and pages of recommendations, and the command that writes them."""

import json

import pandas as pd
import pytest

from recbole_sda.cli.experiments import main
from recbole_sda.engine import experiment
from recbole_sda.recommend import output as write
from recbole_sda.recommend.item_titles import Item, read_titles, thumbnail

ITEMS = {"a": Item("A <b>bold</b> title", None), "b": Item(None, None)}


def block(user: str, new: bool = False) -> pd.DataFrame:
    return pd.DataFrame(
        {"user_id": [user] * 2, "rank": [1, 2], "item_id": ["a", "b"], "score": [2.0, 1.0], "new": [False, new]}
    )


@pytest.mark.parametrize("suffix, read", [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_tables_are_whole_or_not_there(tmp_path, suffix, read):
    out = tmp_path / "deep" / f"top{suffix}"
    titles = [{"other": Item("t", None)}, ITEMS]  # the first block has none
    assert write.write_table((write.with_titles(block(u), t) for u, t in zip("xy", titles)), out) == 4
    table = read(out)
    assert table["user_id"].tolist() == list("xxyy") and table["title"].isna().tolist() == [True, True, False, True]

    def broken():
        yield block("x")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write.write_table(broken(), tmp_path / f"half{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_a_page_shows_history_and_recommendations(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "MAX_SHOWN", 2)
    blocks = (block(user, new=True) for user in ("u<1>", "u2", "u3"))
    n = write.write_page(blocks, tmp_path / "p.html", ITEMS, lambda user: ["b"] * 9, "T & t", "about")
    text = (tmp_path / "p.html").read_text()
    assert n == 2 and "u3" not in text and "User u&lt;1&gt;" in text and "T &amp; t" in text
    assert text.count("A &lt;b&gt;bold&lt;/b&gt; title") == 2 and text.count(">new<") == 2
    assert "last 6 of 9" in text and text.count("<figure>") == 2 * (6 + 2)


def test_titles_and_pictures(tmp_path, items_file):
    found = read_titles(items_file.parent, "x")
    assert found["i1"].title == "blue drum" and thumbnail(found["i1"].image).startswith("data:image/jpeg;base64,")
    assert thumbnail(found["i4"].image) is None and found["i5"].image is None  # no picture inside, none named
    (tmp_path / "y.item").write_text('item_id:token\ttitle:token_seq\timage:token\n7\tThe "best"\t7.png\n8\t\t\n')
    (tmp_path / "other").mkdir()
    items_file.unlink()
    found = read_titles(tmp_path, "y")
    assert found["7"] == Item('The "best"', tmp_path / "7.png") and found["8"] == Item(None, None)
    assert read_titles(tmp_path, "y", id_field="asin") == {} == read_titles(tmp_path / "other", "z")
    path = tmp_path / "y.item"
    path.write_text(path.read_text().replace("item_id:token", "asin:token"))
    assert read_titles(tmp_path, "y", id_field="asin") == found


@pytest.fixture(scope="module")
def run_dir(data_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    keys = {"data_path": str(data_path), "epochs": 1, "train_batch_size": 64, "use_gpu": False, "topk": [5, 10]}
    experiment.run("BPR_SDA", "tiny", (), {**keys, "threads": 1, "run_dir": str(folder)})
    return folder


def test_the_command(run_dir, tmp_path, items_file):
    (tmp_path / "users.txt").write_text("u3\n\nu1\nu3\n")
    assert (
        main(["recommend", str(run_dir), f"--out={tmp_path / 'a.csv'}", f"--users={tmp_path / 'users.txt'}", "--k=4"])
        == 0
    )
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["user_id"].tolist() == ["u3"] * 4 + ["u1"] * 4
    assert main(["recommend", str(run_dir), f"--out={tmp_path / 'a.parquet'}", f"--items={items_file}"]) == 0
    whole = pd.read_parquet(tmp_path / "a.parquet")
    titles = {f"i{k}": json.loads(line)["title"] for k, line in enumerate(items_file.read_text().split("\n")[:6])}
    assert len(whole) == 43 * 10 and set(whole["title"].dropna()) <= set(titles.values())
    assert all(whole.loc[whole["item_id"] == item, "title"].eq(title).all() for item, title in titles.items())
    assert main(["recommend", str(run_dir), f"--out={tmp_path / 'a.html'}", "--repeat"]) == 0
    assert "may be recommended again" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--out=a.txt"], "--out=a.txt: expected a file that ends with .parquet, .csv, .html"),
        (["--out=a.csv", "--users=u1,u99"], "user 'u99' is not in tiny"),
        (["--out=a.csv", "--users= ,"], "holds no user"),
        (["--out=a.csv", "--users=" + ",".join(f"u{k}" for k in range(100))], "user 'u43' is not in tiny"),
        (["--out=a.csv", "--k=0"], "k=0: expected a whole number from 1 to 37"),
        (["--out=a.csv", "--new-titles=x.jsonl"], "--new-titles belongs to --new-items"),
        (["--out=a.csv", "--new-items=nowhere"], "nowhere"),
        (["--out=a.csv", "--topk=3"], "--topk is not an option of recommend"),
    ],
)
def test_errors(run_dir, words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["recommend", str(run_dir), *words]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())
