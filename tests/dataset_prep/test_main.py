"""The commands, from raw files to a trained model."""

import json
import shutil

import pandas as pd
import pytest
from PIL import Image

from dataset_prep.__main__ import main
from dataset_prep.amazon import dataset_name
from recbole_sda.cli.main import main as features
from recbole_sda.config.dataset_files import amazon_sources, preparation_command
from recbole_sda.engine.experiment import run
from recbole_sda.errors import InputError
from recbole_sda.features.items_file import read_items
from recbole_sda.io.yaml import properties_dir


def amazon(raw, tmp_path, release, *more, address="http://127.0.0.1:9"):
    reviews, meta = raw(release, address)
    given = ["--reviews", str(reviews), "--meta", str(meta), "--out", str(tmp_path / "dataset")]
    return main(["amazon", "--category", "Musical_Instruments", "--release", release, *given, *more])


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("release", ["2014", "2018", "2023"])
def test_a_release_with_a_known_core(raw, tmp_path, server, release, capsys):
    assert amazon(raw, tmp_path, release, "--per-second", "1000", "--private-addresses", address=server) == 0
    folder = tmp_path / "dataset/Amazon_Instruments"
    record = json.loads((folder / "dataset.json").read_text())
    steps = [(s["users"], s["items"], s["interactions"]) for s in record["steps"]]
    assert steps == [(20, 10, 101), (20, 10, 100), (10, 6, 60)]
    assert record["counts"] == {"users": 10, "items": 6, "interactions": 60, "items_with_picture": 6}
    inter = pd.read_csv(folder / "Amazon_Instruments.inter", sep="\t")
    assert list(inter) == ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    assert inter["timestamp:float"].between(1_000_000, 2_000_000).all()
    assert inter.groupby("user_id:token")["timestamp:float"].is_monotonic_increasing.all()
    items = read_items(folder / "items.jsonl")
    table = pd.read_csv(folder / "Amazon_Instruments.item", sep="\t")
    assert [i["item_id"] for i in items] == table["item_id:token"].tolist() == sorted(set(inter["item_id:token"]))
    assert items[0]["title"] == "Tom's drum 0" and items[0]["brand"] == "Acme"
    assert items[0]["categories"] == ["Music", "Drums & Co"] and table["categories:token_seq"][0] == "Music Drums_&_Co"
    assert items[0].get("price") == {"2014": 9.5, "2018": 1009.5, "2023": None}[release]
    assert Image.open(folder / items[0]["image"]).size == (40, 30)
    assert "6 of 6 items have an image" in capsys.readouterr().out


def test_the_same_command_gives_the_same_bytes(raw, tmp_path, server):
    first, second = tmp_path / "one", tmp_path / "two"
    reviews, meta = raw("2018", server)
    for out in (first, second, second):
        given = ["--reviews", str(reviews), "--meta", str(meta), "--out", str(out), "--per-second", "1000"]
        assert (
            main(
                ["amazon", "--category", "Baby", "--release", "2018", *given, "--split", "ratio", "--private-addresses"]
            )
            == 0
        )
    assert files_of(first) == files_of(second)


def test_problems_of_the_input_are_reported(raw, tmp_path, capsys):
    assert amazon(raw, tmp_path, "2018", "--k-core", "1", "--no-images") == 0
    printed = capsys.readouterr().out
    assert "item without metadata: 1" in printed and "0 of 10 items have an image" in printed
    lines = (tmp_path / "dataset/Amazon_Instruments/problems.jsonl").read_text().splitlines()
    assert [json.loads(line)["where"] for line in lines] == ["B9"]


def test_published_counts_are_compared(raw, tmp_path, capsys):
    reviews, meta = raw("2014")
    given = ["--reviews", str(reviews), "--meta", str(meta), "--out", str(tmp_path), "--no-images"]
    assert main(["amazon", "--category", "Baby", "--release", "2014", *given]) == 0
    assert "not the published set: users 10 (published 19,445)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more, message",
    [
        (["--min-rating", "9"], "no interaction is left after: rated 9 or better"),
        (["--split", "time"], "--split=time needs --split-at with two times"),
        (["--reviews", "nowhere.gz"], "nowhere.gz does not exist"),
    ],
)
def test_errors_are_one_line(raw, tmp_path, capsys, more, message):
    assert amazon(raw, tmp_path, "2018", "--no-images", *more) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]


@pytest.mark.parametrize("option", ["--workers", "--per-second", "--max-pixels"])
def test_options_of_images(tmp_path, capsys, option):
    with pytest.raises(SystemExit, match="2"):
        main(["table", "--name", "S", "--inter", "none.csv", "--out", str(tmp_path), option, "0"])
    assert f"argument {option}: '0': expected" in capsys.readouterr().err and not (tmp_path / "S").exists()


def test_a_wrong_release_of_a_file_is_refused(raw, tmp_path, capsys):
    reviews, meta = raw("2018")
    given = ["--reviews", str(reviews), "--meta", str(meta), "--out", str(tmp_path)]
    assert main(["amazon", "--category", "Baby", "--release", "2023", *given]) == 2
    assert "expected records with user_id, parent_asin, rating, timestamp; found reviewerID" in capsys.readouterr().err


def test_a_data_set_of_another_origin_is_not_replaced(raw, tmp_path, capsys):
    folder = tmp_path / "dataset/Amazon_Instruments"
    folder.mkdir(parents=True)
    (folder / "Amazon_Instruments.inter").write_text("mine")
    assert amazon(raw, tmp_path, "2018", "--no-images") == 2
    assert "not made by this command" in capsys.readouterr().err
    assert (folder / "Amazon_Instruments.inter").read_text() == "mine"


def test_own_tables(tmp_path, capsys):
    rows = [(f"u{u}", k, 5, f"2020-01-{k + 1:02d}") for u in range(6) for k in range(6)]
    pd.DataFrame(rows, columns=["who", "what", "stars", "day"]).to_csv(tmp_path / "inter.csv", index=False)
    items = pd.DataFrame(
        {"what": range(6), "The title": ["a, b"] * 6, "price": ["$3"] * 6, "file": ["x.png"] * 3 + [None] * 3}
    )
    items.to_parquet(tmp_path / "items.parquet")
    (tmp_path / "posters").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "posters/x.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "posters/5.png")
    given = ["--name", "Mine", "--inter", str(tmp_path / "inter.csv"), "--user-col", "who", "--item-col", "what"]
    given += ["--time-col", "day", "--rating-col", "stars", "--items", str(tmp_path / "items.parquet")]
    given += ["--image-col", "file", "--images", str(tmp_path / "posters"), "--out", str(tmp_path)]
    assert main(["table", *given, "--split", "time", "--split-at", "2020-01-05", "2020-01-06"]) == 0
    written = read_items(tmp_path / "Mine/items.jsonl")
    assert written[0] == {"item_id": "0", "The_title": "a, b", "price": 3.0, "image": "images/0.png"}
    assert [bool(item["image"]) for item in written] == [True, True, True, False, False, True]
    sizes = [len(pd.read_csv(tmp_path / f"Mine/Mine.{part}.inter", sep="\t")) for part in ("train", "valid", "test")]
    assert sizes == [24, 6, 6]
    assert main(["table", *given, "--time-col", "when"]) == 2
    assert "no column 'when' (--time-col); there are who, what, stars, day" in capsys.readouterr().err


def test_published_splits_of_mmrec(tmp_path, capsys):
    rows = [(u, (u + i) % 12, 1.0, 10 * i, 0 if i < 6 else i - 5) for u in range(12) for i in range(8)]
    names = ["userID", "itemID", "rating", "timestamp", "x_label"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "baby.inter", sep="\t", index=False)
    assert main(["mmrec", "--inter", str(tmp_path / "baby.inter"), "--name", "Baby", "--out", str(tmp_path)]) == 0
    test = pd.read_csv(tmp_path / "Baby/Baby.test.inter", sep="\t")
    assert len(test) == 12 and (test["item_id:token"] == (test["user_id:token"] + 7) % 12).all()
    keys = {"data_path": str(tmp_path), "runs_path": str(tmp_path), "epochs": 1, "use_gpu": False, "threads": 1}
    result = run(
        "BPR",
        "Baby",
        (),
        {**keys, "benchmark_filename": ["train", "valid", "test"], "topk": [5], "valid_metric": "NDCG@5"},
    )
    assert result["protocol"]["split"].startswith("given files")
    bad = (tmp_path / "baby.inter").read_text().replace("\t2\n", "\t3\n", 1)
    (tmp_path / "baby.inter").write_text(bad)
    assert main(["mmrec", "--inter", str(tmp_path / "baby.inter"), "--name", "Baby", "--out", str(tmp_path)]) == 2
    assert "x_label is '3'; allowed are 0, 1 and 2" in capsys.readouterr().err
    (tmp_path / "baby.inter").write_text(bad.replace("\t3\n", "\t2\n") + "0\t7\n")
    assert main(["mmrec", "--inter", str(tmp_path / "baby.inter"), "--name", "Baby", "--out", str(tmp_path)]) == 2
    assert "baby.inter:98: bad line, '0\\t7'; a split is read completely or not at all" in capsys.readouterr().err


def test_from_raw_files_to_a_trained_model(raw, tmp_path, server):
    """prepare, extract, SASRec_SDA."""
    assert amazon(raw, tmp_path, "2014", "--per-second", "1000", "--private-addresses", address=server) == 0
    folder = tmp_path / "dataset/Amazon_Instruments"
    store = folder / "features/light"
    assert (
        features(["features", "extract", "--items", str(folder / "items.jsonl"), "--out", str(store), "--dim", "4"])
        == 0
    )
    keys = {"data_path": str(tmp_path / "dataset"), "runs_path": str(tmp_path / "runs"), "epochs": 1, "use_gpu": False}
    with pytest.raises(InputError, match="topk=.5, 10, 20.: Amazon_Instruments has 6 items"):
        run("SASRec_SDA", "Amazon_Instruments", (), keys)
    result = run("SASRec_SDA", "Amazon_Instruments", (), {**keys, "threads": 1, "topk": [5], "valid_metric": "NDCG@5"})
    assert result["protocol"]["items"] == 6 and not result["miniature"]
    shutil.rmtree(tmp_path / "runs")


def test_ctrl_c_names_how_to_continue(raw, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dataset_prep.dataset_folder.fetch_images", stop)
    assert amazon(raw, tmp_path, "2018") == 130
    assert "continues where it stopped" in capsys.readouterr().err
    assert not (tmp_path / "dataset/Amazon_Instruments/Amazon_Instruments.inter").exists()


def test_each_preset_names_its_command():
    presets = {path.stem: path.read_text() for path in (properties_dir() / "dataset").glob("Amazon_*.yaml")}
    assert set(presets) == set(amazon_sources())
    for name, text in presets.items():
        assert preparation_command(name, "x").removesuffix(" --out x") in text
        assert dataset_name(amazon_sources()[name].category) == name
    assert preparation_command("ml-1m", "x") is None


def own_table(folder, **options):
    """Prepare three tables of eight users and items below a folder; return the exit status."""
    given = {"name": "S", "inter": str(folder / "inter.csv"), "out": str(folder), "k-core": "0", **options}
    return main(
        ["table", *(word for key, value in given.items() for word in (f"--{key}", value)), "--time-col", "time"]
    )


def write_interactions(path, time, newest_first=False):
    rows = [(f"u{u}", f"i{(u + k) % 8}", time(k)) for u in range(8) for k in range(8)]
    pd.DataFrame(rows[::-1] if newest_first else rows, columns=["user_id", "item_id", "time"]).to_csv(path, index=False)


@pytest.mark.parametrize(
    "time, written",
    [
        (lambda k: 1_400_000_000 + k / 10, "1400000000.7"),
        (lambda k: f"2014-05-13T16:53:20.{k}00000", "1400000000.7"),
        (lambda k: k / 8, "0.875"),
        (lambda k: 1_400_000_000 + k, "1400000007"),
    ],
)
def test_order_inside_a_second_is_kept(tmp_path, time, written):
    write_interactions(tmp_path / "inter.csv", time, newest_first=True)
    assert own_table(tmp_path, split="leave-one-out") == 0
    test = pd.read_csv(tmp_path / "S/S.test.inter", sep="\t", dtype=str)
    assert test["item_id:token"].tolist() == [f"i{(u + 7) % 8}" for u in range(8)]
    assert set(test["timestamp:float"]) == {written}


def test_fields_that_the_first_item_lacks(tmp_path):
    write_interactions(tmp_path / "inter.csv", lambda k: k)
    items = [{"item_id": f"i{k}", "title": f"t{k}", **({"about": f"a{k}"} if k else {})} for k in range(8)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    assert own_table(tmp_path, items=str(tmp_path / "items.jsonl")) == 0
    assert (tmp_path / "S/S.item").read_text().startswith("item_id:token\ttitle:token_seq\tabout:token_seq\n")
    assert own_table(tmp_path, items=str(tmp_path / "items.jsonl"), **{"text-cols": "about"}) == 0


def test_a_text_column_called_pictures(tmp_path):
    write_interactions(tmp_path / "inter.csv", lambda k: k)
    rows = [{"item_id": f"i{k}", "pictures": f"two of {k}"} for k in range(8)]
    pd.DataFrame(rows).to_csv(tmp_path / "items.csv", index=False)
    assert own_table(tmp_path, items=str(tmp_path / "items.csv")) == 0
    assert [item["pictures"] for item in read_items(tmp_path / "S/items.jsonl")] == [f"two of {k}" for k in range(8)]


def test_an_interrupted_preparation_is_continued(tmp_path, monkeypatch):
    """Interrupted between the interactions, which are written last, and the record."""
    write_interactions(tmp_path / "inter.csv", lambda k: k)
    with monkeypatch.context() as patch:
        patch.setattr("dataset_prep.dataset_folder.sha256_of", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        assert own_table(tmp_path) == 130
    assert (tmp_path / "S/S.inter").is_file() and not (tmp_path / "S/dataset.json").exists()
    assert own_table(tmp_path) == 0
    assert (tmp_path / "S/dataset.json").is_file() and not (tmp_path / "S/.unfinished").exists()
    (tmp_path / "S/dataset.json").unlink()
    assert own_table(tmp_path) == 2


def test_a_second_preparation_replaces_the_first(tmp_path):
    """Neither the parts of its split nor its images remain."""
    write_interactions(tmp_path / "inter.csv", lambda k: k)
    for colour in ("red", "blue"):
        (tmp_path / colour).mkdir()
        for k in range(8):
            Image.new("RGB", (64, 64), colour).save(tmp_path / colour / f"i{k}.{'png' if colour == 'red' else 'jpg'}")
    assert own_table(tmp_path, split="leave-one-out", images=str(tmp_path / "red")) == 0
    assert own_table(tmp_path, images=str(tmp_path / "blue"), **{"max-pixels": "256"}) == 0
    assert sorted(path.name for path in (tmp_path / "S").glob("*.inter")) == ["S.inter"]
    images = [path for path in (tmp_path / "S/images").iterdir() if path.suffix != ".jsonl"]
    assert len(images) == 8 and all(Image.open(path).size == (16, 16) for path in images)
    assert all(Image.open(path).convert("RGB").getpixel((8, 8))[2] > 200 for path in images)


def test_ids_that_look_like_missing_values(tmp_path):
    """NA, null and nan are ids; blanks are a missing id."""
    names = ["NA", "null", "nan", "None", "i4", "i5", "i6", "i7"]
    rows = [(f"u{u}", names[(u + k) % 8], k) for u in range(8) for k in range(8)] + [(" ", "i4", 1)]
    pd.DataFrame(rows, columns=["user_id", "item_id", "time"]).to_csv(tmp_path / "inter.csv", index=False)
    assert own_table(tmp_path) == 0
    assert json.loads((tmp_path / "S/dataset.json").read_text())["problems"] == {"incomplete interaction": 1}
    keys = {"data_path": str(tmp_path), "runs_path": str(tmp_path), "epochs": 1, "use_gpu": False, "threads": 1}
    result = run("SASRec", "S", (), {**keys, "topk": [5], "valid_metric": "NDCG@5"})
    assert result["protocol"]["items"] == 8 and result["groups"]["test"]["users"]["short"]["cases"] == 8


def test_milliseconds_that_are_given_as_seconds(tmp_path, caplog, capsys):
    rows = [f"u{u},i{i},{(1_400_000_000 + u * 10 + i * 86400 * 300) * 1000}" for u in range(6) for i in range(6)]
    (tmp_path / "rows.csv").write_text("\n".join(["user_id,item_id,time", *rows]) + "\n")
    command = ["table", "--name", "ms", "--inter", str(tmp_path / "rows.csv"), "--time-col", "time", "--no-images"]
    command += ["--out", str(tmp_path / "out"), "--overwrite"]
    assert main(command) == 0
    (warning,) = [record.getMessage() for record in caplog.records if "--time-unit" in record.getMessage()]
    caplog.clear()
    for more in (["--end", "2015-01-01"], ["--split", "time", "--split-at", "2016-01-01", "2017-01-01"]):
        capsys.readouterr()
        assert main([*command, *more]) == 2
        assert f"{warning} (--start, --end and --split-at are compared with them)" in capsys.readouterr().err
        assert main([*command, *more, "--time-unit", "ms", "--k-core", "0"]) == 0
    assert "--time-unit" not in caplog.text
