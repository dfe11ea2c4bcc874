"""A built-in miniature of an Amazon data set: invented products with pictures and texts, and users who look at both.

It exists so that every part of the pipeline can be run and seen without a download. It says nothing about real data.

Each product has a colour and a silhouette, which only its picture shows, and a purpose, which only its text tells.
A user's next product mostly keeps the colour of the last one and moves on to the purpose that follows in a fixed order;
among the products that fit, popular ones are likelier. So picture and text together say what comes next, and for a
rare product, which ids alone cannot learn from a handful of interactions, they are all there is.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

import numpy as np

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.data.miniature.render import COLOURS, SILHOUETTES, render
from recbole_sda.data.miniature.words import BRANDS, PRODUCTS, PURPOSES
from recbole_sda.io.atomic_write import write_lines

N_ITEMS, N_USERS = 1500, 1000
MIN_LENGTH, MEAN_LENGTH = 5, 8
GUIDED = 0.85  # share of choices that follow colour and purpose; the rest follow popularity alone
POPULARITY_EXPONENT = 0.6
WITHOUT_PICTURE = 0.03


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
    has_picture: bool


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
                has_picture=bool(rng.random() >= WITHOUT_PICTURE),
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


def generate(name: str, data_path) -> Tuple[Path, Path]:
    """Write the miniature of a data set: atomic files, ``items.jsonl`` and ``images/``.

    Args:
        name: the full data set's name, as ``Amazon_Sports``; the miniature is ``<name>-sample``. It seeds everything:
            the same name gives the same files.
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
    records = []
    for product in products:
        image = f"images/{product.item_id}.png" if product.has_picture else None
        # Drawn for all products, so that the random stream does not depend on who has a picture.
        picture = render(product.silhouette, product.colour, rng)
        if image:
            picture.save(folder / image)
        record = {"item_id": product.item_id, "title": product.title, "brand": product.brand}
        record |= {"categories": [category.replace("_", " ")], "description": product.description, "image": image}
        records.append(record)
    used = sorted({item for sequence in sequences for item in sequence})
    records = [records[item] for item in used]
    items_file = folder / "items.jsonl"
    items_file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    _write_atomic(folder / f"{dataset}.item", "item_id:token\ttitle:token_seq\tbrand:token", records)
    lines = ["user_id:token\titem_id:token\ttimestamp:float\n"]
    for user, sequence in enumerate(sequences):
        lines += (f"U{user:05d}\t{products[i].item_id}\t{t}\n" for t, i in enumerate(sequence))
    write_lines(folder / f"{dataset}.inter", lines)  # last: its presence says the set is whole
    return folder, items_file


def _write_atomic(path: Path, header: str, records: List[dict]) -> None:
    rows = (f"{record['item_id']}\t{record['title']}\t{record['brand']}\n" for record in records)
    path.write_text(header + "\n" + "".join(rows), encoding="utf-8")
