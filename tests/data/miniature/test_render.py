"""Images of the miniature's products."""

import numpy as np

from recbole_sda.data.miniature.render import COLOURS, SILHOUETTES, SIZE, render


def test_every_silhouette_and_colour_has_its_own_image():
    """With the same random numbers, two images differ by silhouette and colour alone."""
    pairs = [(s, c) for s in range(len(SILHOUETTES)) for c in range(len(COLOURS))]
    images = np.array([np.asarray(render(s, c, np.random.default_rng(0)), dtype=float) for s, c in pairs])
    assert images.shape == (len(pairs), SIZE, SIZE, 3)
    for k, image in enumerate(images):
        differing = (np.abs(images - image) > 20).any(axis=-1).mean(axis=(1, 2))  # share of the pixels
        assert (np.delete(differing, k) > 0.05).all(), pairs[k]


def test_the_random_numbers_place_and_shade_the_product():
    first, again, other = (render(3, 1, np.random.default_rng(seed)).tobytes() for seed in (5, 5, 6))
    assert first == again != other
