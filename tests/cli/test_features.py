"""The commands beside the main one."""

import numpy as np
import pytest

from recbole_sda.cli.main import main


@pytest.fixture
def vectors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32))
    (tmp_path / "ids.txt").write_text("a\nb\nc\n")
    (tmp_path / "d.itememb").write_text("iid:token\tvec:float_seq\na\t1 2\nb\t3 4\n")
    return tmp_path


def test_import_npy_and_inspect(vectors, capsys):
    words = [
        "--npy",
        "image=image.npy",
        "--ids",
        "ids.txt",
        "--out",
        "d/features/x",
        "--encoder",
        "CLIP",
        "--pooling",
        "mean",
    ]
    assert main(["features", "import", *words]) == 0
    first = capsys.readouterr().out
    assert "3 items" in first and "model CLIP" in first and "effective rank" in first
    assert main(["features", "inspect", "d/features/x"]) == 0
    assert capsys.readouterr().out == first


def test_import_itememb(vectors, capsys):
    assert main(["features", "import", "--itememb", "d.itememb", "--modality", "text", "--out", "s"]) == 0
    assert "text" in capsys.readouterr().out


def test_extract(items_file, tmp_path, capsys):
    assert main(["features", "extract", "--items", str(items_file), "--out", str(tmp_path / "s"), "--dim", "2"]) == 0
    assert "HSV histogram" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["import", "--npy", "image.npy", "--ids", "ids.txt", "--out", "s"],
            "--npy 'image.npy': expected MODALITY=VALUE",
        ),
        (["import", "--npy", "image=image.npy", "--out", "s"], "--npy needs --ids"),
        (
            ["import", "--npy", "image=image.npy", "image=b.npy", "--ids", "ids.txt", "--out", "s"],
            "image is given twice",
        ),
        (["default", "nowhere"], "nowhere: expected a feature store"),
        (["import", "--npy", "image=no.npy", "--ids", "ids.txt", "--out", "s"], "array no.npy does not exist"),
        (["import", "--parquet", "x.parquet", "--out", "s"], "--parquet needs --columns"),
        (["extract", "--items", "none.jsonl", "--out", "s"], "items file none.jsonl does not exist"),
        (["extract", "--items", "none.jsonl", "--out", "s", "--dim", "0"], "--dim 0: expected at least 1"),
        (["inspect", "nowhere"], "nowhere is not a feature store: manifest.json is missing"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(vectors, words, message, capsys):
    assert main(["features", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and message in error and "\n" not in error


def test_run_is_the_main_command(capsys):
    assert main(["run", "--help"]) == 0
    assert "--model=MODEL" in capsys.readouterr().out


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0 and "features" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "ids.txt is empty"),
        ("a\na\n", "ids.txt: item id 'a' occurs more than once"),
        ("a\n\nb\n", "ids.txt, line 2: an id is missing"),
        ("a\tx\n", "ids.txt, line 1: expected one id per line"),
        ("z" * 10**6, "has none of the data set's items: the data set's ids are zzz"),
    ],
)
def test_ids_of_semantic_ids(vectors, capsys, content, message):
    assert main("features import --npy image=image.npy --ids ids.txt --out store".split()) == 0
    (vectors / "ids.txt").write_text(content)
    assert main("features semantic-ids store --out=codes.json --codes 1 --ids ids.txt".split()) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and len(error) < 500 and not (vectors / "codes.json").exists()
