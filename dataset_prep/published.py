"""Counts that papers publish for standard data sets, to check whether a prepared set is the one that they used."""

from typing import Dict, Optional

COUNTS = ("users", "items", "interactions")
# (release, category): 5-core of both users and items (McAuley et al. 2015; the same in S3-Rec and MMRec).
FIVE_CORE = {
    ("2014", "Beauty"): (22_363, 12_101, 198_502),
    ("2014", "Sports_and_Outdoors"): (35_598, 18_357, 296_337),
    ("2014", "Toys_and_Games"): (19_412, 11_924, 167_597),
    ("2014", "Baby"): (19_445, 7_050, 160_792),
}


def published_counts(release: str, category: str, k: int) -> Optional[Dict[str, int]]:
    """Return the published numbers of users, items and interactions of a k-core; None where there are none."""
    counts = FIVE_CORE.get((release, category)) if k == 5 else None
    return dict(zip(COUNTS, counts)) if counts else None


def compare(counts: Dict[str, int], published: Dict[str, int]) -> str:
    """Return a sentence part on how counts differ from the published ones."""
    differing = [name for name in COUNTS if counts[name] != published[name]]
    if not differing:
        return "the published counts exactly"
    parts = (f"{name} {counts[name]:,} (published {published[name]:,})" for name in differing)
    return "not the published set: " + ", ".join(parts)
