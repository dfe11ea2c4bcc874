"""Amazon reviews of 2014, 2018 and 2023: what their files are called, where they are, and what their fields mean.

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
        item: name of the id in the metadata.
        brand, categories: names in the metadata.
        pictures: record -> addresses of pictures, best first.
    """

    reviews: str
    metadata: str
    fields: Dict[str, str]
    per_second: int
    item: str
    brand: str
    categories: str
    pictures: Callable[[dict], List[str]]

    def read_item(self, record: dict) -> Optional[Item]:
        """Return a metadata record as an item; None without an id."""
        token = clean(record.get(self.item))
        if not token:
            return None
        return {
            "item_id": token,
            "title": clean(record.get("title")),
            "brand": clean(record.get(self.brand)),
            "categories": names_in(record.get(self.categories)),
            "price": price_of(record.get("price")),
            "description": clean(record.get("description")),
            "pictures": self.pictures(record),
        }


def _addresses(*values: Any) -> List[str]:
    found: List[str] = []
    for value in values:
        found += [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str) and v]
    return found


def _pictures_2014(record: dict) -> List[str]:
    return _addresses(record.get("imUrl"))


def _pictures_2018(record: dict) -> List[str]:
    return _addresses(record.get("imageURLHighRes"), record.get("imageURL"))


def _pictures_2023(record: dict) -> List[str]:
    images = [image for image in record.get("images") or [] if isinstance(image, dict)]
    images.sort(key=lambda image: image.get("variant") != "MAIN")
    return [address for image in images for address in _addresses(image.get("hi_res"), image.get("large"))]


_SNAP = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
_UCSD = "https://mcauleylab.ucsd.edu/public_datasets/data"
_OLD = {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"}
_NEW = {"user": "user_id", "item": "parent_asin", "rating": "rating", "time": "timestamp"}

RELEASES: Dict[str, Release] = {
    "2014": Release(
        f"{_SNAP}/reviews_{{}}.json.gz",
        f"{_SNAP}/meta_{{}}.json.gz",
        _OLD,
        1,
        "asin",
        "brand",
        "categories",
        _pictures_2014,
    ),
    "2018": Release(
        f"{_UCSD}/amazon_v2/categoryFiles/{{}}.json.gz",
        f"{_UCSD}/amazon_v2/metaFiles2/meta_{{}}.json.gz",
        _OLD,
        1,
        "asin",
        "brand",
        "category",
        _pictures_2018,
    ),
    "2023": Release(
        f"{_UCSD}/amazon_2023/raw/review_categories/{{}}.jsonl.gz",
        f"{_UCSD}/amazon_2023/raw/meta_categories/meta_{{}}.jsonl.gz",
        _NEW,
        1000,
        "parent_asin",
        "store",
        "categories",
        _pictures_2023,
    ),
}


def release(year: str) -> Release:
    """Return a release; an unknown one is an InputError."""
    if year not in RELEASES:
        raise InputError(f"release={year!r}: there is {', '.join(RELEASES)}.{nearest(year, RELEASES)}")
    return RELEASES[year]


def dataset_name(category: str) -> str:
    """Return the data set's name for a category: that of the papers' sets, else ``Amazon_<category>``."""
    known = amazon_sources().items()
    return next((name for name, source in known if source.category == category), f"Amazon_{category}")
