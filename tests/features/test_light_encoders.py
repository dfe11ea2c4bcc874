"""Light encoders: similar items get similar vectors, missing ones are masked."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from recbole_sda.errors import InputError
from recbole_sda.features import light_encoders
from recbole_sda.features.light_encoders import describe_image, encode_images, encode_texts


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_texts():
    texts = ["red wooden drum", "blue wooden drum", None, "silk evening scarf", "  ", "warm silk scarf"]
    vectors, present = encode_texts(texts, dim=3)
    assert present.tolist() == [True, True, False, True, False, True]
    assert vectors.shape == (6, 3) and vectors.dtype == np.float32 and not vectors[~present].any()
    assert cosine(vectors[0], vectors[1]) > 0.9 > 0.3 > cosine(vectors[0], vectors[3])


def test_texts_are_deterministic():
    texts = [f"word{k % 7} thing{k % 3} of {k}" for k in range(30)]
    assert np.array_equal(encode_texts(texts, 8)[0], encode_texts(texts, 8)[0])


def test_texts_without_words():
    with pytest.raises(InputError, match="no item has a text with a word in it"):
        encode_texts(["", None, "!"])


def drawing(colour, shape):
    image = Image.new("RGB", (90, 70), "white")
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "disc" else draw.rectangle)((20, 10, 70, 60), fill=colour)
    return image


def test_descriptors_see_colour_and_shape():
    red, red_box, blue = (describe_image(drawing(*a)) for a in [("red", "disc"), ("red", "box"), ("blue", "disc")])
    colours = slice(0, 12 * 4 * 4)
    assert np.allclose(red[colours], red_box[colours], atol=0.15) and not np.allclose(
        red[colours], blue[colours], atol=0.15
    )
    shapes = slice(12 * 4 * 4, -10)
    assert np.linalg.norm(red[shapes] - red_box[shapes]) > np.linalg.norm(red[shapes] - blue[shapes])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
def test_any_mode_and_size(mode):
    vector = describe_image(Image.new(mode, (3, 200)))
    assert vector.shape == describe_image(Image.new("RGB", (64, 64))).shape and np.isfinite(vector).all()


def test_images_missing_and_unreadable(tmp_path):
    for k, colour in enumerate(["red", "green", "blue"]):
        drawing(colour, "disc").save(tmp_path / f"{k}.png")
    (tmp_path / "bad.png").write_bytes(b"no")
    paths = [
        tmp_path / "0.png",
        None,
        tmp_path / "1.png",
        tmp_path / "bad.png",
        tmp_path / "gone.png",
        tmp_path / "2.png",
    ]
    vectors, present, failures = encode_images(paths, dim=2)
    assert present.tolist() == [True, False, True, False, False, True]
    assert vectors.shape == (6, 2) and not vectors[~present].any()
    assert [position for position, _ in failures] == [3, 4]
    with pytest.raises(InputError, match="no item has a readable image; the first failure: .*bad.png"):
        encode_images(paths[3:5])


def test_image_descriptors_are_standardised_before_pca(monkeypatch):
    """Two uncorrelated values of very different scale have equal variance in the vectors; the missing item is ignored."""
    signs = np.array([[1, 1], [1, -1], [0, 0], [-1, 1], [-1, -1]])
    descriptors = (signs * [1000, 0.001] + [5, -7]).astype(np.float32)
    present = np.array([True, True, False, True, True])
    monkeypatch.setattr(light_encoders, "read_images", lambda paths: (descriptors, present, []))
    vectors, _, _ = encode_images([None] * 5, dim=2)
    np.testing.assert_allclose(np.cov(vectors[present].T, bias=True), np.eye(2), atol=1e-3)
    assert not vectors[2].any()


def test_one_text_of_one_word():
    vectors, present = encode_texts(["ball", None, ""])
    assert vectors.tolist() == [[1.0], [0.0], [0.0]] and present.tolist() == [True, False, False]
