"""Amazon reviews of 2014, 2018 and 2023: the names and addresses of their files, and the meaning of their fields.

2014: McAuley et al. 2015, SNAP. 2018: Ni, Li and McAuley 2019. 2023: Hou et al. 2024.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from dataset_prep.items import Item, clean, names_in, price_of
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
        images: record -> addresses of its images, best first.
    """

    reviews: str
    metadata: str
    fields: Dict[str, str]
    per_second: int
    item: str
    brand: str
    categories: str
    images: Callable[[Dict[str, Any]], List[str]]

    def read_item(self, record: Dict[str, Any]) -> Optional[Item]:
        """Return a metadata record as an item; None without an id."""
        token = clean(record.get(self.item))
        if not token:
            return None
        fields = {
            "title": clean(record.get("title")),
            "brand": clean(record.get(self.brand)),
            "categories": names_in(record.get(self.categories)),
            "price": price_of(record.get("price")),
            "description": clean(record.get("description")),
        }
        return Item(token, fields, self.images(record))


def _addresses(*values: Any) -> List[str]:
    addresses: List[str] = []
    for value in values:
        addresses += [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str) and v]
    return addresses


def _images_2014(record: Dict[str, Any]) -> List[str]:
    return _addresses(record.get("imUrl"))


def _images_2018(record: Dict[str, Any]) -> List[str]:
    return _addresses(record.get("imageURLHighRes"), record.get("imageURL"))


def _images_2023(record: Dict[str, Any]) -> List[str]:
    images = [image for image in record.get("images") or [] if isinstance(image, dict)]
    images.sort(key=lambda image: image.get("variant") != "MAIN")
    return [address for image in images for address in _addresses(image.get("hi_res"), image.get("large"))]


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
