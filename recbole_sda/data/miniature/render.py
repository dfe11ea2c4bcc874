"""Images of invented products: a silhouette in one colour on a pale background, with small random variations."""

import colorsys
import math
from typing import List, Tuple

import numpy as np
from PIL import Image, ImageDraw

SIZE = 96  # pixels
COLOURS = (0.00, 0.10, 0.17, 0.36, 0.58, 0.78)  # hues
SILHOUETTES = ("disc", "square", "triangle", "ring", "cross", "star", "bar", "diamond")


def _polygon(name: str, x: float, y: float, r: float) -> List[Tuple[float, float]]:
    def corner(angle: float, radius: float) -> Tuple[float, float]:
        return x + radius * math.sin(math.radians(angle)), y - radius * math.cos(math.radians(angle))

    if name == "square":
        return [corner(a, r) for a in (45, 135, 225, 315)]
    if name == "triangle":
        return [corner(a, r) for a in (0, 120, 240)]
    if name == "star":
        return [corner(36 * k, r if k % 2 == 0 else 0.45 * r) for k in range(10)]
    if name == "diamond":
        return [corner(a, r if a % 180 == 0 else 0.6 * r) for a in (0, 90, 180, 270)]
    if name == "bar":
        return [(x - 0.25 * r, y - r), (x + 0.25 * r, y - r), (x + 0.25 * r, y + r), (x - 0.25 * r, y + r)]
    w = 0.33 * r  # cross
    return [
        (x - w, y - r), (x + w, y - r), (x + w, y - w), (x + r, y - w), (x + r, y + w), (x + w, y + w),
        (x + w, y + r), (x - w, y + r), (x - w, y + w), (x - r, y + w), (x - r, y - w), (x - w, y - w),
    ]  # fmt: skip


def render(silhouette: int, colour: int, rng: np.random.Generator) -> Image.Image:
    """Return the image of a product, RGB, SIZE x SIZE pixels.

    Args:
        silhouette: index into SILHOUETTES.
        colour: index into COLOURS.
        rng: draws the exact place, size and shade, and the noise.
    """
    name = SILHOUETTES[silhouette]
    hue = COLOURS[colour] + rng.normal(0, 0.012)
    fill = tuple(int(255 * v) for v in colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.65, 0.95), rng.uniform(0.6, 0.95)))
    background = tuple(int(v) for v in rng.uniform(225, 250, size=3))
    x, y = (SIZE / 2 + rng.uniform(-8, 8) for _ in range(2))
    r = rng.uniform(0.28, 0.4) * SIZE
    image = Image.new("RGB", (SIZE, SIZE), background)
    draw = ImageDraw.Draw(image)
    box = (x - r, y - r, x + r, y + r)
    if name == "disc":
        draw.ellipse(box, fill=fill)
    elif name == "ring":
        draw.ellipse(box, outline=fill, width=int(0.35 * r))
    else:
        draw.polygon(_polygon(name, x, y, r), fill=fill)
    noise = rng.normal(0, 4, size=(SIZE, SIZE, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
