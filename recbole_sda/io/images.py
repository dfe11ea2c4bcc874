"""Images as people see them: rotated as their EXIF data ask, transparent parts on white."""

from typing import Tuple

from PIL import Image, ImageOps

ORIENTATION = 0x0112  # EXIF tag; values of 5 and above swap width and height


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB, rotated upright, with transparent parts on white."""
    upright = ImageOps.exif_transpose(image)
    if "A" not in upright.getbands() and "transparency" not in upright.info:
        return upright.convert("RGB")
    upright = upright.convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(white, upright).convert("RGB")


def upright_size(image: Image.Image) -> Tuple[int, int]:
    """Return the (width, height) that :func:`to_upright_rgb` gives, without decoding the image."""
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION, 1) >= 5 else (width, height)
