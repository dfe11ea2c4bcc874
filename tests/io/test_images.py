import os

import numpy as np
import pytest
from PIL import Image, ImageCms

from recbole_sda.io import images
from recbole_sda.io.images import ORIENTATION, UnreadableImage, read_rgb, to_upright_rgb, upright_size

RAMP = np.linspace(0, 65535, 64 * 64).reshape(64, 64)  # a picture from black to white


def test_transparent_parts_are_white(tmp_path):
    image = Image.new("RGBA", (4, 2), (10, 20, 30, 0))
    image.putpixel((1, 1), (10, 20, 30, 255))
    image.save(tmp_path / "a.png")
    seen = read_rgb(tmp_path / "a.png")
    assert seen.mode == "RGB" and seen.getpixel((0, 0)) == (255, 255, 255) and seen.getpixel((1, 1)) == (10, 20, 30)
    with_palette = image.convert("P")
    with_palette.info["transparency"] = with_palette.getpixel((0, 0))
    assert to_upright_rgb(with_palette).getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_of_a_phone_is_upright(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert upright_size(opened) == (20, 40) == to_upright_rgb(opened).size


@pytest.mark.parametrize(
    "file, values",
    [
        ("8.png", (RAMP / 257).astype(np.uint8)),
        ("16.png", RAMP.astype(np.uint16)),
        ("16.tiff", RAMP.astype(np.uint16)),
        ("16.pgm", RAMP.astype(np.uint16)),
        ("32.tiff", RAMP.astype(np.int32)),
        ("negative.tiff", (RAMP - 30000).astype(np.int32)),
        ("to1.tiff", (RAMP / 65535).astype(np.float32)),
        ("to255.tiff", (RAMP / 256).astype(np.float32)),
        ("to65535.tiff", RAMP.astype(np.float32)),
    ],
)
def test_grey_values_of_any_depth_keep_their_picture(tmp_path, file, values):
    Image.fromarray(values).save(tmp_path / file)
    seen = np.asarray(read_rgb(tmp_path / file), dtype=float)
    assert seen.shape == (64, 64, 3) and np.abs(seen - RAMP[:, :, None] / 257).max() <= 1.6


def test_a_dark_16_bit_picture_stays_dark(tmp_path):
    Image.fromarray(np.full((4, 4), 200, dtype=np.uint16)).save(tmp_path / "dark.png")
    assert np.asarray(read_rgb(tmp_path / "dark.png")).max() == 1


def test_16_bit_pictures_are_rotated_and_transparent_too(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    values = np.full((20, 40), 1000, dtype=np.uint16)
    values[:, :20] = 30000
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif, transparency=30000)
    seen = read_rgb(tmp_path / "a.png")
    assert seen.size == (20, 40) and seen.getpixel((0, 0)) == (255, 255, 255) and seen.getpixel((0, 39)) == (4, 4, 4)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I", "F"]
)
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (8, 6), "blue")
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    else:
        image = image.convert("L").convert(mode) if mode in ("I;16", "I", "F") else image.convert(mode)
    seen = to_upright_rgb(image)
    assert seen.mode == "RGB" and seen.size == (8, 6)
    if mode in ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"):
        assert np.abs(np.asarray(seen, dtype=int)[0, 0] - [0, 0, 255]).max() <= (25 if mode == "LAB" else 3)


def test_what_is_no_image_gives_its_reason(tmp_path):
    Image.effect_noise((200, 200), 50).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-900])
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    values = np.ones((4, 4), dtype=np.float32)
    values[1, 2] = np.nan
    Image.fromarray(values).save(tmp_path / "nan.tiff")
    for name in ("cut.jpg", "page.jpg", "empty.jpg", "folder.jpg", "nan.tiff", "missing.jpg"):
        with pytest.raises(UnreadableImage, match=name):
            read_rgb(tmp_path / name)
    with pytest.raises(UnreadableImage, match="not a picture in one of the formats JPEG, PNG"):
        read_rgb(b"<html>")


def test_no_document_and_no_other_program(tmp_path, monkeypatch):
    """PostScript would be rendered by Ghostscript, which is an interpreter of a whole language."""
    program = tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    for source in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes()):
        with pytest.raises(UnreadableImage, match="not a picture in one of the formats"):
            read_rgb(source)
    assert not (tmp_path / "called").exists()


def test_the_limit_of_pixels_comes_before_decoding(tmp_path, monkeypatch):
    Image.new("1", (7000, 7200)).save(tmp_path / "large.png")
    with pytest.raises(UnreadableImage, match="large.png: 7000 x 7200 pixels, above the limit of 50,000,000"):
        read_rgb(tmp_path / "large.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 7000 * 7200)
    with images.open_image(tmp_path / "large.png") as image:
        assert image.size == (7000, 7200)


def test_every_error_of_a_picture_is_that_of_the_picture(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImage, match="pipe.png: there is no such file"):
        read_rgb(tmp_path / "pipe.png")
    for error in (MemoryError(), RecursionError("deep"), ValueError("bad")):
        with pytest.raises(UnreadableImage, match="a.png"):
            with images.open_image(tmp_path / "a.png"):
                raise error


def test_a_path_that_no_file_can_have(tmp_path):
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(UnreadableImage, match="there is no such file"):
            read_rgb(tmp_path / name)
