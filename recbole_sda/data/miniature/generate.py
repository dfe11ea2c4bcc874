"""Generator of the built-in miniature of an Amazon data set: invented products with images and texts, and their users.

With it every part of the pipeline runs without a download. Figures on it do not carry over to real data.

Each product has a colour and a silhouette, which only its image shows, and a purpose, which only its text states. The
next product of a user mostly has the colour of the last one and the purpose that follows in a fixed order; among the
products that fit, popular ones are likelier. Image and text together thus predict the next product. They are the only
information about rare products, which a model of ids alone cannot learn from a handful of interactions.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple, Union

import numpy as np

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.data.miniature.render import COLOURS, SILHOUETTES, render
from recbole_sda.data.miniature.words import BRANDS, PRODUCTS, PURPOSES
from recbole_sda.io.atomic_write import atomic_write, write_lines

N_ITEMS, N_USERS = 1500, 1000
MIN_LENGTH, MEAN_LENGTH = 5, 8
GUIDED = 0.85  # share of choices that follow colour and purpose; the others follow popularity alone
POPULARITY_EXPONENT = 0.6
MISSING_IMAGES = 0.03  # share of products


@dataclass(frozen=True)
class Product:
    """One invented product; ``colour``, ``silhouette`` and ``purpose`` are indices."""

    item_id: str
    colour: int
    silhouette: int
    purpose: int
    brand: str
    title: str
    description: str
    has_image: bool


def _products(category: str, rng: np.random.Generator) -> List[Product]:
    kinds = PRODUCTS.get(category, PRODUCTS["default"])
    products = []
    for k in range(N_ITEMS):
        silhouette, purpose = int(rng.integers(len(SILHOUETTES))), int(rng.integers(len(PURPOSES)))
        kind, words = kinds[silhouette % len(kinds)], PURPOSES[purpose]
        brand, pick = str(rng.choice(BRANDS)), rng.permutation(words)
        products.append(
            Product(
                item_id=f"S{zlib.crc32(f'{category}{k}'.encode()):08X}{k:03d}",
                colour=int(rng.integers(len(COLOURS))),
                silhouette=silhouette,
                purpose=purpose,
                brand=brand,
                title=f"{brand} {pick[0]} {kind}",
                description=f"A {kind} by {brand}, made for {pick[1]} and {pick[2]}.",
                has_image=bool(rng.random() >= MISSING_IMAGES),
            )
        )
    return products


def _sequences(products: List[Product], rng: np.random.Generator) -> List[List[int]]:
    popularity = np.arange(1, N_ITEMS + 1, dtype=float) ** -POPULARITY_EXPONENT
    rng.shuffle(popularity)
    popularity /= popularity.sum()
    colour = np.array([p.colour for p in products])
    purpose = np.array([p.purpose for p in products])
    sequences = []
    for _ in range(N_USERS):
        length = MIN_LENGTH + int(rng.geometric(1 / (MEAN_LENGTH - MIN_LENGTH + 1))) - 1
        chosen = [int(rng.choice(N_ITEMS, p=popularity))]
        while len(chosen) < min(length, 30):
            weights = popularity.copy()
            if rng.random() < GUIDED:
                last = chosen[-1]
                fits = (colour == colour[last]) & (purpose == (purpose[last] + 1) % len(PURPOSES))
                weights = weights * fits
            weights[chosen] = 0
            if weights.sum() == 0:
                continue
            chosen.append(int(rng.choice(N_ITEMS, p=weights / weights.sum())))
        sequences.append(chosen)
    return sequences


def generate(name: str, data_path: Union[str, Path]) -> Tuple[Path, Path]:
    """Write the miniature of a data set: atomic files, ``items.jsonl`` and ``images/``.

    Args:
        name: the full data set's name, such as ``Amazon_Sports``; the miniature is ``<name>-sample``. It seeds all
            random choices: the same name gives the same files.
        data_path: folder of data sets.

    Returns:
        The data set's folder and its items file.
    """
    dataset = name + SAMPLE_SUFFIX
    rng = np.random.default_rng(zlib.crc32(dataset.encode()))
    category = name.partition("_")[2]
    products = _products(category, rng)
    sequences = _sequences(products, rng)
    folder = Path(data_path) / dataset
    (folder / "images").mkdir(parents=True, exist_ok=True)
    records = [_write_product(folder, product, category, rng) for product in products]
    used = sorted({item for sequence in sequences for item in sequence})
    records = [records[item] for item in used]
    items_file = folder / "items.jsonl"
    write_lines(items_file, (json.dumps(record) + "\n" for record in records))
    write_lines(folder / f"{dataset}.item", _item_lines(records))
    write_lines(folder / f"{dataset}.inter", _inter_lines(products, sequences))  # last: a sign that the set is complete
    return folder, items_file


def _write_product(folder: Path, product: Product, category: str, rng: np.random.Generator) -> Dict[str, Any]:
    """Write a product's image and return its line of ``items.jsonl``."""
    # Drawn for all products, so that the random stream does not depend on which of them have an image.
    image = render(product.silhouette, product.colour, rng)
    path = f"images/{product.item_id}.png" if product.has_image else None
    if path:
        with atomic_write(folder / path) as draft:
            image.save(draft, "PNG")
    return {
        "item_id": product.item_id,
        "title": product.title,
        "brand": product.brand,
        "categories": [category.replace("_", " ")],
        "description": product.description,
        "image": path,
    }


def _item_lines(records: Sequence[Dict[str, Any]]) -> Iterator[str]:
    yield "item_id:token\ttitle:token_seq\tbrand:token\n"
    for record in records:
        yield f"{record['item_id']}\t{record['title']}\t{record['brand']}\n"


def _inter_lines(products: Sequence[Product], sequences: Sequence[Sequence[int]]) -> Iterator[str]:
    yield "user_id:token\titem_id:token\ttimestamp:float\n"
    for user, sequence in enumerate(sequences):
        for time, item in enumerate(sequence):
            yield f"U{user:05d}\t{products[item].item_id}\t{time}\n"
