"""Light encoders without pretrained weights: TF-IDF and SVD for texts; colour, shape and texture with PCA for images.

They run on any machine and are a baseline for LVLM features, not a replacement. They are fitted on the items of the
store, so the vectors of two stores cannot be compared.
"""

import logging
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image
from skimage.color import rgb2hsv
from skimage.feature import hog, local_binary_pattern
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import library_versions
from recbole_sda.io.images import UnreadableImage, read_rgb, to_upright_rgb

logger = logging.getLogger(__name__)

LIGHT_ENCODER = "light"  # the encoder's name in a store's manifest
IMAGE_SIZE = 64  # pixels; images are resized to IMAGE_SIZE x IMAGE_SIZE
HUE_BINS, SATURATION_BINS, VALUE_BINS = 12, 4, 4

Failure = Tuple[int, str]  # position of the item, and the reason


def encode_texts(texts: Sequence[Optional[str]], dim: int = 64, seed: int = 0) -> Tuple[np.ndarray, np.ndarray]:
    """Encode texts by sublinear TF-IDF of words and pairs of words, reduced by truncated SVD.

    Args:
        texts: one per item; None or blank where there is none.
        dim: largest width; the vocabulary or the number of texts may allow less.
        seed: of the SVD.

    Returns:
        Vectors (n_items, <= dim), float32, with zeros for items without a text; and the mask (n_items,) of the items
        with a text.

    Raises:
        InputError: no text has a word in it.
    """
    present = np.array([bool(text and text.strip()) for text in texts], dtype=bool)
    present_texts = [text for text, is_present in zip(texts, present) if is_present]
    try:
        tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1).fit_transform(present_texts)
    except ValueError:
        raise InputError("no item has a text with a word in it") from None
    width = max(1, min(dim, min(tfidf.shape) - 1))
    if width < dim:
        logger.info("text: %d texts with %d terms allow %d of %d dimensions", *tfidf.shape, width, dim)
    vectors = np.zeros((len(texts), width), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # texts that are all the same have no variance to explain
        one_term = tfidf.shape[1] == 1  # nothing to reduce, and scikit-learn refuses it
        vectors[present] = tfidf.toarray() if one_term else TruncatedSVD(width, random_state=seed).fit_transform(tfidf)
    return vectors, present


def describe_image(image: Image.Image) -> np.ndarray:
    """Return the raw descriptor of an image, (width,), float32.

    It concatenates an HSV histogram, a histogram of oriented gradients and local binary patterns.
    """
    pixels = np.asarray(to_upright_rgb(image).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))
    hsv = rgb2hsv(pixels).reshape(-1, 3)
    bins, limits = (HUE_BINS, SATURATION_BINS, VALUE_BINS), [(0, 1)] * 3
    colour = np.sqrt(np.histogramdd(hsv, bins=bins, range=limits)[0].ravel() / len(hsv))
    gray = pixels.mean(axis=-1).astype(np.uint8)
    shape = hog(gray, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    patterns = local_binary_pattern(gray, P=8, R=1, method="uniform")
    texture = np.sqrt(np.histogram(patterns, bins=10, range=(0, 10))[0] / patterns.size)
    return np.concatenate([colour, shape, texture]).astype(np.float32)


def read_images(paths: Sequence[Optional[Path]]) -> Tuple[np.ndarray, np.ndarray, List[Failure]]:
    """Compute the raw descriptors of image files.

    Args:
        paths: one per item; None where there is no image.

    Returns:
        The descriptors (n_items, width), float32, zeros where there is none; the mask (n_items,) of the readable images;
        and the failures as (position, reason). A position without a path is missing, not a failure.

    Raises:
        InputError: no image is readable.
    """
    rows: Dict[int, np.ndarray] = {}
    failures: List[Failure] = []
    for position, path in enumerate(paths):
        if path is None:
            continue
        try:
            rows[position] = describe_image(read_rgb(path))
        except UnreadableImage as error:
            failures.append((position, str(error)))
    if not rows:
        reason = f"; the first failure: {failures[0][1]}" if failures else ""
        raise InputError(f"no item has a readable image{reason}")
    present = np.zeros(len(paths), dtype=bool)
    present[list(rows)] = True
    descriptors = np.zeros((len(paths), len(next(iter(rows.values())))), dtype=np.float32)
    descriptors[present] = np.stack([rows[position] for position in sorted(rows)])
    return descriptors, present, failures


def encode_images(paths: Sequence[Optional[Path]], dim: int = 64) -> Tuple[np.ndarray, np.ndarray, List[Failure]]:
    """Encode images by their descriptors, each value standardised over the items, reduced by PCA.

    Args:
        paths: one per item; None where there is no image.
        dim: largest width; the number of images may allow less.

    Returns:
        Vectors (n_items, <= dim), float32; the mask (n_items,) of the readable images; and the failures, see
        :func:`read_images`.

    Raises:
        InputError: no image is readable.
    """
    descriptors, present, failures = read_images(paths)
    x = StandardScaler().fit_transform(descriptors[present])
    width = min(dim, *x.shape)
    vectors = np.zeros((len(paths), width), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # images that are all the same have no variance to explain
        vectors[present] = PCA(width, svd_solver="full").fit_transform(x)
    return vectors, present, failures


def provenance(text_dim: int, image_dim: int, fields: Sequence[str]) -> Dict[str, Any]:
    """Return the manifest keys that describe the light encoders."""
    return {
        "encoder": {
            "model": LIGHT_ENCODER,
            "text": f"TF-IDF (1-2 grams) + SVD {text_dim} over {', '.join(fields) or 'no fields'}",
            "image": f"HSV histogram + HOG + LBP, standardised, PCA {image_dim}",
        },
        "image_budget": f"{IMAGE_SIZE}x{IMAGE_SIZE} pixels",
        "encoder_versions": library_versions("scikit-learn", "scikit-image", "pillow"),
    }
