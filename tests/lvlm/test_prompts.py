import pytest

from recbole_sda.errors import InputError
from recbole_sda.lvlm.prompts import Prompt

FIELDS = ["title", "tags", "price"]
ITEM = {"title": "Red  drum\nnew", "tags": ["music", "loud"], "price": 3, "item_id": "i1"}


def test_fields_are_filled_in_on_one_line():
    assert Prompt("A {title} for {price}", FIELDS, {})(ITEM) == "A Red drum new for 3"


def test_all_fields_with_their_names():
    assert Prompt("{fields}", FIELDS, {})(ITEM) == "title: Red drum new\ntags: music, loud\nprice: 3"


def test_lines_without_values_are_left_out():
    prompt = Prompt("Product\nTitle: {title}\nTags: {tags}", FIELDS, {})
    assert prompt({"title": "Drum", "tags": []}) == "Product\nTitle: Drum"
    assert prompt({"title": "", "tags": None}) == ""


def test_a_prompt_without_fields_is_itself():
    assert Prompt("The product in this picture.", FIELDS, {})({}) == "The product in this picture."


def test_words_of_a_field_are_cut():
    assert Prompt("{title}|{price}", FIELDS, {"title": 2})(ITEM) == "Red drum|3"


def test_values_with_braces_stay_as_they_are():
    assert Prompt("{title}", FIELDS, {})({"title": "{price} {0}"}) == "{price} {0}"


@pytest.mark.parametrize("template", ["{titel}", "{title!r}", "{title:>10}", "{0}", "{title", "{title.x}"])
def test_wrong_templates_are_refused(template):
    with pytest.raises(InputError, match="prompt"):
        Prompt(template, FIELDS, {})


def test_words_of_an_unknown_field_are_refused():
    with pytest.raises(InputError, match="'titel'.*title"):
        Prompt("{title}", FIELDS, {"titel": 3})


def test_errors_name_the_key():
    for template, message in (
        ("{title[0]}", "image_prompt: line"),
        ("{nope}", "image_prompt: no item has the field 'nope'"),
    ):
        with pytest.raises(InputError, match=message):
            Prompt(template, FIELDS, {}, "image_prompt")
