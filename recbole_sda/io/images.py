"""Images as people see them, in 8-bit RGB: of any mode, rotated as their EXIF data ask, transparent parts on white."""

import io
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional, Tuple, Union

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

ORIENTATION = 0x0112  # EXIF tag; values of 5 and above swap width and height
DEEP_FORMATS = ("PNG", "PPM")  # their grey values of mode I have 16 bits
# Formats of pictures alone. Pillow's others are those of documents, and PostScript starts another program.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
MAX_PIXELS = 50_000_000  # of a picture that is decoded; Pillow allows 178 million, which need gigabytes


class UnreadableImage(Exception):
    """An image is damaged, incomplete, or in no format or mode that can be read; the message is the reason."""


def read_rgb(source: Union[str, Path, bytes], draft: Optional[int] = None) -> Image.Image:
    """Return an image in memory: upright, RGB, transparent parts on white.

    Args:
        source: path of a file, or its content.
        draft: a JPEG may be decoded at a fraction of its resolution with at least this many pixels per side.

    Raises:
        UnreadableImage: the file is missing or is not a complete image.
    """
    with open_image(source) as image:
        if draft is not None:
            image.draft("RGB", (draft, draft))
        return to_upright_rgb(image)


@contextmanager
def open_image(source: Union[str, Path, bytes]) -> Iterator[Image.Image]:
    """Context manager that opens an image, not yet decoded, for :func:`to_upright_rgb` and the like.

    It is of one of :data:`FORMATS` and has at most :data:`MAX_PIXELS`.

    Args:
        source: path of a file, or its content.

    Raises:
        UnreadableImage: the file is missing or is not an image, or an error occurs while it is read in the block.
    """
    try:
        there = isinstance(source, bytes) or Path(source).is_file()  # a pipe would be waited for
    except OSError:  # a name that is too long
        there = False
    if not there:
        raise UnreadableImage(f"{str(source)[:200]}: there is no such file")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, above the limit of {MAX_PIXELS:,}")
            yield image
    except UnidentifiedImageError:
        reason = f"not a picture in one of the formats {', '.join(FORMATS)}"
        raise UnreadableImage(reason if isinstance(source, bytes) else f"{source!s}: {reason}") from None
    except Exception as error:  # damaged files make Pillow's readers raise errors of any kind, MemoryError among them
        reason = str(error) or type(error).__name__
        named = isinstance(source, bytes) or str(source) in reason
        raise UnreadableImage(reason if named else f"{source!s}: {reason}") from None


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image in 8-bit RGB, rotated upright, with transparent parts on white.

    Grey values of more than 8 bits are scaled, see :func:`_eight_bits`.

    Raises:
        ValueError: a pixel is not a finite number, or Pillow cannot convert the mode.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(upright, lab, srgb, outputMode="RGB") or upright
    if "A" not in upright.getbands() and "transparency" not in upright.info:
        return upright.convert("RGB")
    upright = upright.convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(white, upright).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of mode I;16, I or F with values in [0, 255], in mode L, or LA where a grey value is transparent.

    The range of the values is that of the file's format where the format has one (16 bits in I;16, PNG and PGM). Otherwise it is
    the narrowest of [0, 1], [0, 255] and [0, 65535] that holds all values, or else from the least to the largest value.
    """
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("the image has pixels that are not finite numbers")
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in DEEP_FORMATS):
        limits = 0.0, 65535.0
    elif low < 0 or high >= 65536:
        limits = low, high
    else:
        limits = 0.0, 1.0 if image.mode == "F" and high <= 1 else 255.0 if high < 256 else 65535.0
    scaled = (values - limits[0]) * (255 / max(limits[1] - limits[0], 1e-300))
    grey = Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    orientation = image.getexif().get(ORIENTATION)
    if orientation is not None:
        grey.getexif()[ORIENTATION] = orientation
    return grey


def upright_size(image: Image.Image) -> Tuple[int, int]:
    """Return the (width, height) that :func:`to_upright_rgb` gives, without decoding the image."""
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION, 1) >= 5 else (width, height)
