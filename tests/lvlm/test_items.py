import json

import pytest
from PIL import Image

from recbole_sda.errors import InputError
from recbole_sda.lvlm.items import image_size, read_item_content
from recbole_sda.lvlm.settings import read_settings


def settings(items_file, **keys):
    return read_settings((), {"items": str(items_file), "text_prompt": "{title}", **keys})


def test_missing_and_unreadable_images_are_counted(items_file, caplog):
    content = read_item_content(settings(items_file))
    assert content.counts() == {"items": 6, "image": 4, "text": 6, "both": 4, "unreadable_images": 1}
    assert content.unreadable[0][0] == "i4" and "p4.png" in content.unreadable[0][1]
    assert "p4.png" in caplog.text
    assert content.sizes[:2] == [(30, 20), (30, 20)] and content.sizes[4] is None and content.images[5] is None


def test_without_images_none_is_read(items_file):
    assert read_item_content(settings(items_file), with_images=False).counts()["image"] == 0


def test_prompts(items_file):
    content = read_item_content(settings(items_file, image_prompt="A picture of {title}"))
    assert content.text_prompts[0] == "red drum" and content.image_prompts[0] == "A picture of red drum"


def test_truncated_images_are_unreadable(tmp_path):
    path = tmp_path / "p.jpg"
    Image.effect_noise((200, 200), 50).save(path)
    assert image_size(path) == (200, 200)
    path.write_bytes(path.read_bytes()[:-900])
    assert "p.jpg" in image_size(path)


def test_an_id_twice_is_refused(tmp_path):
    file = tmp_path / "items.jsonl"
    file.write_text("\n".join(json.dumps({"item_id": "a", "title": t}) for t in "xy"))
    with pytest.raises(InputError, match="'a' occurs more than once"):
        read_item_content(settings(file))


def test_items_are_needed():
    with pytest.raises(InputError, match="items is missing"):
        read_item_content(read_settings())


def test_extreme_aspect_ratios_are_refused(tmp_path):
    Image.new("RGB", (900, 4)).save(tmp_path / "thin.png")
    assert "900 x 4 pixels" in image_size(tmp_path / "thin.png")


def test_half_a_character_is_replaced(tmp_path):
    """JavaScript writes it where it cuts a title."""
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "title": "drum \\ud83d"}\n')
    items = read_item_content(read_settings((), {"items": str(tmp_path / "items.jsonl")}))
    assert "drum \ufffd" in items.text_prompts[0]
