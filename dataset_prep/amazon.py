"""Amazon reviews of 2014, 2018 and 2023: the names and addresses of their files, and the meaning of their fields.

2014: McAuley et al. 2015, SNAP. 2018: Ni, Li and McAuley 2019. 2023: Hou et al. 2024.
"""

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Callable, Dict, List, Optional

from dataset_prep.items import Item, names_in, price_field, text_without_code
from dataset_prep.problems import Problems
from recbole_sda.config.dataset_files import amazon_sources
from recbole_sda.errors import InputError, nearest


@dataclass(frozen=True)
class Release:
    """A release of the data.

    Attributes:
        reviews, metadata: addresses, with ``{}`` for the category.
        fields: names of user, item, rating and time in a review.
        per_second: units of the review's time in a second.
        item, brand, categories: names of these fields in the metadata; ``item`` is the id.
        images: record -> addresses of its images, best first; None where the field has an unknown form.
    """

    reviews: str
    metadata: str
    fields: Dict[str, str]
    per_second: int
    item: str
    brand: str
    categories: str
    images: Callable[[Dict[str, Any]], Optional[List[str]]]

    def read_item(self, item_id: str, record: Dict[str, Any], problems: Problems) -> Item:
        """Return a metadata record as an item; fields that cannot be read are left empty and counted."""

        def text(name: str, value: Any) -> str:
            return text_without_code(value, f"{item_id}, {name}", problems)

        fields = {
            "title": text("title", record.get("title")),
            "brand": text("brand", _brand(record.get(self.brand))),
            "categories": [name for name in names_in(record.get(self.categories)) if text("categories", name)],
            "price": price_field(record.get("price"), f"{item_id}, price", problems),
            "description": text("description", record.get("description")),
        }
        images = self.images(record)
        if images is None:
            problems.add("images in an unknown form", item_id, str(record.get("images")))
        return Item(item_id, fields, images or [])


# 2018 has the byline of the page in place of some brands; "by" before a line break is not part of a name
BYLINE = re.compile(r"\s*by\s*\n\s*(.*)|\s*Visit Amazon's (.*) Page\s*", re.DOTALL)


def _brand(value: Any) -> Any:
    match = BYLINE.fullmatch(value) if isinstance(value, str) else None
    return (match.group(1) or match.group(2)) if match else value


def _addresses(*values: Any) -> List[str]:
    addresses: List[str] = []
    for value in values:
        addresses += [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str) and v]
    return addresses


def _images_2014(record: Dict[str, Any]) -> List[str]:
    return _addresses(record.get("imUrl"))


def _images_2018(record: Dict[str, Any]) -> List[str]:
    return _addresses(record.get("imageURLHighRes"), record.get("imageURL"))


def _images_2023(record: Dict[str, Any]) -> Optional[List[str]]:
    """Return addresses of a list of objects, as released, or of an object of lists, as the library datasets writes it."""
    images = record.get("images") or []
    if isinstance(images, dict) and all(isinstance(column, list) for column in images.values()):
        images = [dict(zip(images, row)) for row in zip_longest(*images.values())]
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        return None
    images = sorted(images, key=lambda image: image.get("variant") != "MAIN")
    found = [address for image in images for address in _addresses(image.get("hi_res"), image.get("large"))]
    return found if found or not images else None


_SNAP = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
_UCSD = "https://mcauleylab.ucsd.edu/public_datasets/data"
_FIELDS_TO_2018 = {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"}
_FIELDS_2023 = {"user": "user_id", "item": "parent_asin", "rating": "rating", "time": "timestamp"}

RELEASES: Dict[str, Release] = {
    "2014": Release(
        reviews=f"{_SNAP}/reviews_{{}}.json.gz",
        metadata=f"{_SNAP}/meta_{{}}.json.gz",
        fields=_FIELDS_TO_2018,
        per_second=1,
        item="asin",
        brand="brand",
        categories="categories",
        images=_images_2014,
    ),
    "2018": Release(
        reviews=f"{_UCSD}/amazon_v2/categoryFiles/{{}}.json.gz",
        metadata=f"{_UCSD}/amazon_v2/metaFiles2/meta_{{}}.json.gz",
        fields=_FIELDS_TO_2018,
        per_second=1,
        item="asin",
        brand="brand",
        categories="category",
        images=_images_2018,
    ),
    "2023": Release(
        reviews=f"{_UCSD}/amazon_2023/raw/review_categories/{{}}.jsonl.gz",
        metadata=f"{_UCSD}/amazon_2023/raw/meta_categories/meta_{{}}.jsonl.gz",
        fields=_FIELDS_2023,
        per_second=1000,
        item="parent_asin",
        brand="store",
        categories="categories",
        images=_images_2023,
    ),
}


def release(year: str) -> Release:
    """Return a release.

    Raises:
        InputError: there is no release of this year.
    """
    if year not in RELEASES:
        raise InputError(f"release={year!r}: allowed are {', '.join(RELEASES)}.{nearest(year, RELEASES)}")
    return RELEASES[year]


def dataset_name(category: str) -> str:
    """Return the data set's name for a category: that of the papers' sets, or else ``Amazon_<category>``."""
    sources = amazon_sources().items()
    return next((name for name, source in sources if source.category == category), f"Amazon_{category}")
