"""Items without interactions, which can be recommended as new items."""

import json

from PIL import Image

from dataset_prep.__main__ import main
from recbole_sda.features.extract import read_items


def test_items_without_interactions_can_be_kept_as_new_items(raw, tmp_path, server, capsys):
    """In items.jsonl with their images, after the others; not in the .item file, from which RecBole would count them."""
    known = tmp_path / "Amazon_Instruments"
    reviews, meta = raw("2018", server)
    given = [
        "amazon",
        "--category",
        "Musical_Instruments",
        "--release",
        "2018",
        "--reviews",
        str(reviews),
        "--meta",
        str(meta),
    ]
    given += ["--out", str(tmp_path), "--per-second", "1000"]
    assert main(given) == 0
    used, item_file = read_items(known / "items.jsonl"), (known / "Amazon_Instruments.item").read_bytes()
    assert main([*given, "--all-items"]) == 0
    items = read_items(known / "items.jsonl")
    new = [item["item_id"] for item in items[len(used) :]]
    assert items[: len(used)] == used and len(new) > 0 and new == sorted(new)
    assert (known / "Amazon_Instruments.item").read_bytes() == item_file
    assert json.loads((known / "dataset.json").read_text())["counts"]["items_without_interactions"] == len(new)
    assert f"{len(new)} further items without interactions are in items.jsonl" in capsys.readouterr().out


def test_items_of_a_table_without_interactions(tmp_path, capsys):
    lines = [f"{user},{item}" for user in range(6) for item in range(6)]
    (tmp_path / "i.csv").write_text("\n".join(["user_id,item_id", *lines, "1,rare"]))
    (tmp_path / "t.csv").write_text("\n".join(["item_id,title", *(f"{k},t{k}" for k in range(6)), "rare,r", "new,n"]))
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures/new.png")
    given = ["table", "--name", "T", "--inter", str(tmp_path / "i.csv"), "--out", str(tmp_path), "--all-items"]
    assert main(given) == 2
    assert "--all-items keeps items of the table that --items names, and there is none" in capsys.readouterr().err
    assert main([*given, "--items", str(tmp_path / "t.csv"), "--images", str(tmp_path / "pictures")]) == 0
    items = read_items(tmp_path / "T/items.jsonl")
    assert [item["item_id"] for item in items] == ["0", "1", "2", "3", "4", "5", "new", "rare"]
    assert items[-2]["title"] == "n" and items[-2]["image"] and items[-1].get("image") is None
