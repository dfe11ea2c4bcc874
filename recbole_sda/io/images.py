"""Pictures as people see them: turned as their camera says, on white where they are transparent."""

from PIL import Image, ImageOps

ORIENTATION = 0x0112  # the tag of EXIF; from 5 on, width and height are swapped


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Return a picture in RGB, upright, its transparent parts on white."""
    upright = ImageOps.exif_transpose(image)
    if "A" not in upright.getbands() and "transparency" not in upright.info:
        return upright.convert("RGB")
    upright = upright.convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(white, upright).convert("RGB")


def upright_size(image: Image.Image) -> tuple:
    """Return the (width, height) of a picture that :func:`to_upright_rgb` gives; nothing is decoded."""
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION, 1) >= 5 else (width, height)
