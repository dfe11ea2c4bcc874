"""Fields of the releases' metadata, as released and as other software exports them."""

import json

import pandas as pd
import pytest

from dataset_prep.amazon import RELEASES
from dataset_prep.commands import amazon_records
from dataset_prep.problems import Problems
from recbole_sda.errors import InputError

ADDRESSES = ["https://x.invalid/main.jpg", "https://x.invalid/side.jpg"]


def read(release, **record):
    problems = Problems()
    return RELEASES[release].read_item("a", record, problems), problems.counts


@pytest.mark.parametrize(
    "images",
    [
        [{"large": ADDRESSES[1], "variant": "PT01"}, {"hi_res": ADDRESSES[0], "variant": "MAIN"}],
        {"hi_res": [None, ADDRESSES[0]], "large": [ADDRESSES[1], None], "variant": ["PT01", "MAIN"]},
        {"hi_res": [None, ADDRESSES[0]], "large": [ADDRESSES[1]], "variant": ["PT01", "MAIN"]},
    ],
)
def test_images_of_2023_as_a_list_or_as_columns(images):
    item, problems = read("2023", images=images)
    assert item.image_sources == ADDRESSES and not problems


@pytest.mark.parametrize("images", ["main.jpg", ["main.jpg"], {"hi_res": "x"}, [{"thumb": "x"}]])
def test_images_in_an_unknown_form_are_counted(images):
    item, problems = read("2023", images=images)
    assert not item.image_sources and problems == {"images in an unknown form": 1}


@pytest.mark.parametrize("images", [None, [], {"hi_res": [], "large": []}])
def test_no_images_are_no_problem(images):
    assert read("2023", images=images)[1] == {}


@pytest.mark.parametrize(
    "brand, found",
    [
        ("by\n    \n    Acme", "Acme"),
        ("Visit Amazon's Ann Lee Page", "Ann Lee"),
        ("By Terry", "By Terry"),
        ("by Kilian", "by Kilian"),
        (None, ""),
    ],
)
def test_bylines_are_no_brands(brand, found):
    assert read("2018", brand=brand)[0].fields["brand"] == found


def test_code_in_place_of_fields():
    script = "var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();"
    style = ".a-box-inner{background-color:#fff}#buyWidget .selected{color:#c45500;font-size:13px}"
    item, problems = read(
        "2018", title=script, price=style, category=["Music", "</span></span>", style], description=["Red."]
    )
    assert item.fields == {"title": "", "brand": "", "categories": ["Music"], "price": None, "description": "Red."}
    assert problems == {"program code instead of a text": 2, "price that cannot be read": 1}
    assert read("2023", price="None")[1] == {}


def test_files_that_other_software_exports(tmp_path):
    record = {"parent_asin": "a", "images": {"hi_res": [ADDRESSES[0]], "large": [ADDRESSES[1]], "variant": ["MAIN"]}}
    pd.DataFrame([record]).to_parquet(tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text("\ufeff" + json.dumps(record) + "\n")
    for name in ("m.parquet", "m.jsonl"):
        (found,) = amazon_records(tmp_path / name, Problems())
        assert read("2023", **found)[0].image_sources == ADDRESSES
    with pytest.raises(
        InputError, match="ratings.csv is a table.*dataset_prep table --inter .*ratings.csv --columns user_id"
    ):
        list(amazon_records(tmp_path / "ratings.csv", Problems()))
