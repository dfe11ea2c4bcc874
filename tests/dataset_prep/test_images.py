"""Images of items: what is fetched, what fails and why, and what is not fetched again."""

import json
import re
import time

from PIL import Image

from dataset_prep.image_source import ImageOptions
from dataset_prep.images import fetch_images, file_stems

QUICK = ImageOptions(per_second=1000, timeout=0.5, tries=2, pause=0.0, max_bytes=40_000, private=True)


def test_good_and_bad_answers(server, tmp_path):
    kinds = ("ok", "redirect", "busy", "404", "slow", "text", "cut", "broken", "huge")
    names, failures = fetch_images({kind: [f"{server}/{kind}.png"] for kind in kinds}, tmp_path, QUICK)
    assert names == {"ok": "ok.png", "redirect": "redirect.png", "busy": "busy.png"}
    for name in names.values():
        assert Image.open(tmp_path / name).size == (40, 30)
    reasons = {failure["item_id"]: failure["reason"] for failure in failures}
    assert set(reasons) == {"404", "slow", "text", "cut", "broken", "huge"}
    assert "404 Not Found" in reasons["404"] and "no answer in 0.5 s, 2 tries" in reasons["slow"]
    assert "not a complete image" in reasons["text"] and "html" not in reasons["text"]
    assert "connection closed after" in reasons["cut"] and "not a complete image" in reasons["broken"]
    assert "larger than 40,000 bytes" in reasons["huge"]
    listed = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert listed == failures
    assert not list(tmp_path.glob(".*"))


def test_existing_images_are_not_fetched_again(server, tmp_path):
    sources = {"a": [f"{server}/ok-a.png"], "b": [f"{server}/404.png"]}
    fetch_images(sources, tmp_path, QUICK)
    names, failures = fetch_images(sources, tmp_path, QUICK)
    assert names == {"a": "a.png"} and len(failures) == 1
    assert server.answers.seen["/ok-a.png"] == 1 and server.answers.seen["/404.png"] == 2


def test_the_first_source_that_works_is_taken(server, tmp_path):
    names, failures = fetch_images({"a": [f"{server}/404.png", f"{server}/ok.png"]}, tmp_path, QUICK)
    assert names == {"a": "a.png"} and failures == []


def test_large_images_are_shrunk(server, tmp_path):
    names, _ = fetch_images({"a": [f"{server}/big.jpg"]}, tmp_path, QUICK._replace(max_pixels=5000, max_bytes=1 << 20))
    width, height = Image.open(tmp_path / names["a"]).size
    assert width * height <= 5000 and abs(width / height - 4 / 3) < 0.05


def test_images_of_a_folder(tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "x.bmp")
    sources = {"a": [str(tmp_path / "x.bmp")], "b": [str(tmp_path / "none.png")]}
    names, failures = fetch_images(sources, tmp_path / "out", QUICK._replace(folder=tmp_path))
    assert names == {"a": "a.bmp"} and "No such file" in failures[0]["reason"]


def test_the_rate_of_requests_to_a_host_is_limited(server, tmp_path):
    start = time.monotonic()
    fetch_images({str(k): [f"{server}/ok-{k}.png"] for k in range(6)}, tmp_path, QUICK._replace(per_second=20))
    assert time.monotonic() - start >= 5 / 20


def test_file_names_are_safe_and_different():
    stems = file_stems(["B01", "a/b", "a?b", "../x", "b01", "é"])
    assert all(re.fullmatch(r"[\w~-]+", stem, re.ASCII) for stem in stems.values())
    assert stems["a/b"].startswith("a_b~") and len({stem.lower() for stem in stems.values()}) == 6
    assert file_stems(["B02", "b_0-2"]) == {"B02": "B02", "b_0-2": "b_0-2"}


def test_another_selection_of_items_keeps_their_images(tmp_path):
    """Ids that are not valid file names, prepared again with another k-core."""
    colours = {"茶杯": (255, 0, 0), "花瓶": (0, 255, 0), "椅子": (0, 0, 255), "ab": (9, 9, 9), "AB": (99, 99, 99)}
    for k, colour in enumerate(colours.values()):
        Image.new("RGB", (5, 5), colour).save(tmp_path / f"{k}.png")
    sources = {item: [str(tmp_path / f"{k}.png")] for k, item in enumerate(colours)}
    for chosen in (list(colours), ["椅子", "花瓶", "AB"], ["ab", "茶杯"]):
        names, _ = fetch_images(
            {item: sources[item] for item in chosen}, tmp_path / "out", QUICK._replace(folder=tmp_path)
        )
        assert {item: Image.open(tmp_path / "out" / name).getpixel((0, 0)) for item, name in names.items()} == {
            item: colours[item] for item in chosen
        }


def test_an_invalid_address(tmp_path):
    names, failures = fetch_images({"a": ["http://[abc/x.jpg"]}, tmp_path, QUICK)
    assert names == {} and "Invalid IPv6 URL" in failures[0]["reason"]


def test_a_record_of_a_source_that_an_interruption_cut_short(tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "x.png")
    sources = {"a": [str(tmp_path / "x.png")], "b": [str(tmp_path / "x.png")]}
    fetch_images({"a": sources["a"]}, tmp_path / "out", QUICK._replace(folder=tmp_path))
    with open(tmp_path / "out/sources.jsonl", "a") as file:
        file.write('{"item_id": "b", "sou')
    for _ in range(2):
        assert set(fetch_images(sources, tmp_path / "out", QUICK._replace(folder=tmp_path))[0]) == {"a", "b"}


def test_files_only_from_the_folder_that_the_user_gave(tmp_path):
    for folder in ("images", "secret"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (5, 5)).save(tmp_path / folder / "x.png")
    inside, outside = str(tmp_path / "images/x.png"), str(tmp_path / "images/../secret/x.png")
    sources = {"in": [inside], "out": [outside], "link": [f"file://{inside}"], "ftp": ["ftp://h/x.png"]}
    names, failures = fetch_images(sources, tmp_path / "a", QUICK._replace(folder=tmp_path / "images"))
    assert set(names) == {"in"} and [f["item_id"] for f in failures] == ["out", "link", "ftp"]
    assert "a path outside of --images" in failures[0]["reason"]
    names, failures = fetch_images({"in": [inside]}, tmp_path / "b", QUICK)
    assert names == {} and "neither http nor https" in failures[0]["reason"]
