import json

import pytest
from PIL import Image

from recbole_sda.errors import InputError
from recbole_sda.lvlm.items import picture_size, read_catalogue
from recbole_sda.lvlm.settings import read_settings


def settings(items_file, **keys):
    return read_settings((), {"items": str(items_file), "text_prompt": "{title}", **keys})


def test_missing_and_unreadable_pictures_are_counted(items_file, caplog):
    catalogue = read_catalogue(settings(items_file))
    assert catalogue.counts() == {"items": 6, "image": 4, "text": 6, "both": 4, "unreadable_pictures": 1}
    assert catalogue.failures[0][0] == "i4" and "p4.png" in catalogue.failures[0][1]
    assert "p4.png" in caplog.text
    assert catalogue.sizes[:2] == [(30, 20), (30, 20)] and catalogue.sizes[4] is None and catalogue.pictures[5] is None


def test_without_images_no_picture_is_read(items_file):
    assert read_catalogue(settings(items_file), with_images=False).counts()["image"] == 0


def test_prompts(items_file):
    catalogue = read_catalogue(settings(items_file, image_prompt="A picture of {title}"))
    assert catalogue.texts[0] == "red drum" and catalogue.picture_texts[0] == "A picture of red drum"


def test_truncated_pictures_are_unreadable(tmp_path):
    path = tmp_path / "p.jpg"
    Image.effect_noise((200, 200), 50).save(path)
    assert picture_size(path) == (200, 200)
    path.write_bytes(path.read_bytes()[:-900])
    assert "p.jpg" in picture_size(path)


def test_an_id_twice_is_refused(tmp_path):
    file = tmp_path / "items.jsonl"
    file.write_text("\n".join(json.dumps({"item_id": "a", "title": t}) for t in "xy"))
    with pytest.raises(InputError, match="'a' stands twice"):
        read_catalogue(settings(file))


def test_items_are_needed():
    with pytest.raises(InputError, match="items is missing"):
        read_catalogue(read_settings())


def test_pictures_that_no_model_takes(tmp_path):
    Image.new("RGB", (900, 4)).save(tmp_path / "thin.png")
    assert "900 x 4 pixels" in picture_size(tmp_path / "thin.png")


def test_half_a_character_is_replaced(tmp_path):
    """JavaScript writes it where it cuts a title."""
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "title": "drum \\ud83d"}\n')
    items = read_catalogue(read_settings((), {"items": str(tmp_path / "items.jsonl")}))
    assert "drum \ufffd" in items.texts[0]
