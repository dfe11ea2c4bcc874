from PIL import Image

from recbole_sda.io.images import ORIENTATION, to_upright_rgb, upright_size


def test_transparent_parts_are_white(tmp_path):
    image = Image.new("RGBA", (4, 2), (10, 20, 30, 0))
    image.putpixel((1, 1), (10, 20, 30, 255))
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        seen = to_upright_rgb(opened)
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
