import logging
import pickle

import pytest
import torch
from PIL import Image

from recbole_sda.lvlm.processor import fitted_size
from recbole_sda.lvlm.tiny_models.listing import available
from recbole_sda.lvlm.tiny_models.table import FAMILIES

VLMS = [name for name in available() if FAMILIES[name].image]
SIZES = [(30, 20), (90, 300), (500, 333)]


def noise(size):
    return Image.effect_noise(size, 60).convert("RGB")


@pytest.mark.parametrize("family", VLMS)
def test_length_is_that_of_the_real_batch(backbone, family):
    p = backbone(family).processor
    for size in SIZES:
        text = p.render("a red drum", True)
        batch = p.batch([text], [noise(size)])
        assert p.length(text, size) == batch["input_ids"].shape[1]
        assert p.image_token_mask(batch).any()
    text = p.render("a red drum, a green flute", False)
    batch = p.batch([text])
    assert p.length(text) == batch["input_ids"].shape[1]
    assert not p.image_token_mask(batch).any()


@pytest.mark.parametrize("family", ["qwen3", "clip", "siglip", "siglip2", "embeddinggemma"])
def test_length_of_texts(backbone, family):
    p = backbone(family).processor
    text = p.render("a red drum, a green flute", False)
    assert p.length(text) == p.batch([text])["input_ids"].shape[1]


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_a_picture_of_a_dual_encoder_counts_its_patches(backbone, family):
    b = backbone(family)
    vision = b.model.config.vision_config
    assert b.processor.length("", (300, 200)) == (vision.image_size // vision.patch_size) ** 2 + 1 > 2


def test_pictures_stay_within_the_limits(backbone):
    p = backbone("qwen2_5_vl", min_pixels=28 * 28, max_pixels=56 * 56).processor
    tokens = [p.image_token_mask(p.batch([p.render("", True)], [noise(size)])).sum() for size in [(5, 5), (900, 900)]]
    assert tokens == [1, 4]  # 28 x 28 pixels a token


@pytest.mark.parametrize("size, low, high", [((3, 4), 400, 1000), ((3000, 2), 1, 1000), ((50, 50), 1, 2500)])
def test_fitted(size, low, high):
    width, height = fitted_size(size, low, high)
    assert width >= 1 and height >= 1 and (low <= width * height <= high or min(width, height) == 1)
    if low <= size[0] * size[1] <= high:
        assert (width, height) == size


def test_special_tokens_of_a_text_are_taken_out_and_long_texts_cut(backbone):
    p = backbone("qwen2_5_vl").processor
    assert "<|image_pad|>" not in p.shorten("a <|image_pad|> drum", 100)
    text = p.shorten("a red drum and a green flute " * 9, 12)
    assert len(p.tokenizer(text, add_special_tokens=False)["input_ids"]) <= 12 and text.startswith("a red drum")


@pytest.mark.parametrize("family", ["smolvlm", "idefics3"])
def test_tiles_only_above_one_tile(backbone, family):
    small, large = (
        backbone(family, max_pixels=side * side).processor.batch(["<image>"], [noise((200, 200))])["pixel_values"]
        for side in (56, 112)
    )
    assert small.shape[1] == 1 and large.shape[1] > 1


def test_processors_go_to_worker_processes(backbone):
    p = backbone("qwen2_5_vl").processor
    text = p.render("drum", False)
    again = pickle.loads(pickle.dumps(p))
    assert torch.equal(again.batch([text])["input_ids"], p.batch([text])["input_ids"])


def test_all_keys_of_the_processor_are_carried(backbone):
    p = backbone("qwen2_5_vl").processor
    batch = p.batch([p.render("drum", True)], [noise((40, 40))])
    assert {"mm_token_type_ids", "image_grid_thw", "pixel_values", "attention_mask"} <= set(batch)


def test_without_a_chat_template_the_picture_stands_before_the_text(backbone):
    p = backbone("idefics3").processor
    p.processor.chat_template = None
    assert p.render("drum", True) == "<image>drum" and p.render("drum", False) == "drum"


def test_prompts_do_not_change_overnight(backbone):
    """Llama's template writes the date that it is given, or today's."""
    processor = backbone("qwen2_5_vl").processor
    own = processor.processor.chat_template
    processor.processor.chat_template = "{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}"
    try:
        assert processor.render("drum", False) == "26 Jul 2024"
    finally:
        processor.processor.chat_template = own


@pytest.mark.parametrize("family", VLMS)
def test_rendering_says_nothing(backbone, family, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    backbone(family).processor.render("title: drum", True)
    assert not caplog.messages
