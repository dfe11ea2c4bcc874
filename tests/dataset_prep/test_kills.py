"""Preparations that are killed, and two at once."""

import json

import pytest
from PIL import Image

from dataset_prep import images
from dataset_prep.__main__ import main
from dataset_prep.dataset_folder import open_folder
from dataset_prep.image_source import ImageOptions
from dataset_prep.images import fetch_images
from recbole_sda.errors import InputError


class Killed(BaseException):
    """What stands for a kill."""


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(6):
        Image.new("RGB", (40, 40), (40 * k, 9, 9)).save(folder / f"i{k}.png")
    return folder


@pytest.mark.parametrize("number", range(1, 7))
def test_pictures_of_another_size_are_fetched_after_a_kill(pictures, tmp_path, monkeypatch, number):
    """Killed between the n-th picture and its line in sources.jsonl; the other threads are ahead of it."""
    sources = {path.stem: [str(path)] for path in pictures.iterdir()}
    options = ImageOptions(folder=pictures, workers=2, per_second=1000)
    fetch_images(sources, tmp_path / "out", options)
    append, lines = images.append_line, []

    def killed(path, line):
        lines.append(line)
        if len(lines) == number:
            raise Killed
        append(path, line)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(images, "append_line", killed)
        fetch_images(sources, tmp_path / "out", options._replace(max_pixels=100))
    names, failures = fetch_images(sources, tmp_path / "out", options._replace(max_pixels=100))
    assert len(names) == 6 and failures == []
    assert {Image.open(tmp_path / "out" / name).size for name in names.values()} == {(10, 10)}
    assert len(list((tmp_path / "out").glob("i*"))) == 6


def test_new_pictures_without_a_line_are_fetched_again(pictures, tmp_path, monkeypatch):
    sources = {path.stem: [str(path)] for path in pictures.iterdir()}
    options = ImageOptions(folder=pictures, workers=1, per_second=1000)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(images, "append_line", lambda *_: (_ for _ in ()).throw(Killed))
        fetch_images(sources, tmp_path / "out", options)
    names, _ = fetch_images(sources, tmp_path / "out", options._replace(max_pixels=100))
    assert {Image.open(tmp_path / "out" / name).size for name in names.values()} == {(10, 10)}


def test_pictures_of_a_user_without_any_record_stay(pictures, tmp_path):
    before = (pictures / "i0.png").read_bytes()
    names, _ = fetch_images({"i0": ["http://127.0.0.1:9/x.png"]}, pictures, ImageOptions())
    assert names == {"i0": "i0.png"} and (pictures / "i0.png").read_bytes() == before


def test_one_process_prepares_a_data_set(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("user_id,item_id\na,b\nc,b\n")
    command = ["table", "--name", "S", "--inter", str(tmp_path / "t.csv"), "--out", str(tmp_path), "--k-core", "0"]
    with open_folder(tmp_path, "S", False):
        assert main(command) == 2
        assert "S: another process is preparing this data set" in capsys.readouterr().err
        with pytest.raises(InputError, match="another process"), open_folder(tmp_path, "S", False):
            pass
    assert main(command) == 0
    assert json.loads((tmp_path / "S/dataset.json").read_text())["counts"]["interactions"] == 2
