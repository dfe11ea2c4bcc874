"""Light encoders that need no weights: TF-IDF with SVD for texts; colour, shape and texture with PCA for pictures.

They make the pipeline work on any machine and are a baseline for LVLM features, not a replacement.
"""

import logging
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from skimage.color import rgb2hsv
from skimage.feature import hog, local_binary_pattern
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from recbole_sda.errors import InputError
from recbole_sda.features.store import library_versions
from recbole_sda.io.images import to_upright_rgb

logger = logging.getLogger(__name__)

LIGHT = (
    "light"  # what a store says of its encoder; fitted on the store's own items, so two stores' vectors do not compare
)
IMAGE_SIZE = 64  # pixels; pictures are resized to IMAGE_SIZE x IMAGE_SIZE
HUE_BINS, SATURATION_BINS, VALUE_BINS = 12, 4, 4


def encode_texts(texts: Sequence[Optional[str]], dim: int = 64, seed: int = 0) -> Tuple[np.ndarray, np.ndarray]:
    """Return vectors (n_items, <= dim), float32, and the mask (n_items,) of the items whose text is not empty.

    Words and pairs of words, sublinear TF-IDF, truncated SVD. The width is smaller than ``dim`` where the vocabulary
    or the number of texts does not allow it.
    """
    present = np.array([bool(text and text.strip()) for text in texts], dtype=bool)
    given = [text for text, has in zip(texts, present) if has]
    try:
        tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1).fit_transform(given)
    except ValueError:
        raise InputError("no item has a text with a word in it; extract without --text-fields") from None
    width = max(1, min(dim, min(tfidf.shape) - 1))
    if width < dim:
        logger.info("text: %d texts with %d terms allow %d of %d dimensions", *tfidf.shape, width, dim)
    vectors = np.zeros((len(texts), width), dtype=np.float32)
    vectors[present] = TruncatedSVD(width, random_state=seed).fit_transform(tfidf)
    return vectors, present


def describe_image(image: Image.Image) -> np.ndarray:
    """Return the raw descriptor of a picture: HSV histogram, histogram of oriented gradients, local binary patterns."""
    pixels = np.asarray(to_upright_rgb(image).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))
    hsv = rgb2hsv(pixels).reshape(-1, 3)
    bins, limits = (HUE_BINS, SATURATION_BINS, VALUE_BINS), [(0, 1)] * 3
    colour = np.sqrt(np.histogramdd(hsv, bins=bins, range=limits)[0].ravel() / len(hsv))
    gray = pixels.mean(axis=-1).astype(np.uint8)
    shape = hog(gray, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    patterns = local_binary_pattern(gray, P=8, R=1, method="uniform")
    texture = np.sqrt(np.histogram(patterns, bins=10, range=(0, 10))[0] / patterns.size)
    return np.concatenate([colour, shape, texture]).astype(np.float32)


def read_images(paths: Sequence[Optional[Path]]) -> Tuple[np.ndarray, np.ndarray, List[Tuple[int, str]]]:
    """Describe pictures that lie on disk.

    Returns:
        The descriptors (n_items, width), float32, zeros where there is none; the mask (n_items,) of those that could
        be read; and the failures as (position, reason). A position without a path is missing, not a failure.
    """
    rows: dict = {}
    failures: List[Tuple[int, str]] = []
    for position, path in enumerate(paths):
        if path is None:
            continue
        try:
            with Image.open(path) as image:
                rows[position] = describe_image(image)
        except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
            failures.append((position, f"{path}: {error}"))
    if not rows:
        reason = f"; the first failure: {failures[0][1]}" if failures else ""
        raise InputError(f"no item has a readable picture{reason}")
    present = np.zeros(len(paths), dtype=bool)
    present[list(rows)] = True
    descriptors = np.zeros((len(paths), len(next(iter(rows.values())))), dtype=np.float32)
    descriptors[present] = np.stack([rows[position] for position in sorted(rows)])
    return descriptors, present, failures


def encode_images(
    paths: Sequence[Optional[Path]], dim: int = 64
) -> Tuple[np.ndarray, np.ndarray, List[Tuple[int, str]]]:
    """Return vectors (n_items, <= dim), float32, the mask of readable pictures and the failures.

    Descriptors are standardised and reduced by PCA, fitted on the catalogue.
    """
    descriptors, present, failures = read_images(paths)
    x = StandardScaler().fit_transform(descriptors[present])
    width = min(dim, *x.shape)
    vectors = np.zeros((len(paths), width), dtype=np.float32)
    vectors[present] = PCA(width, svd_solver="full").fit_transform(x)
    return vectors, present, failures


def provenance(text_dim: int, image_dim: int, fields: Sequence[str]) -> dict:
    """Return what a store of light features records about its encoder."""
    return {
        "encoder": {
            "model": LIGHT,
            "text": f"TF-IDF (1-2 grams) + SVD {text_dim} over {', '.join(fields) or 'no fields'}",
            "image": f"HSV histogram + HOG + LBP, standardised, PCA {image_dim}",
        },
        "image_budget": f"{IMAGE_SIZE}x{IMAGE_SIZE} pixels",
        "encoder_versions": library_versions("scikit-learn", "scikit-image", "pillow"),
    }
