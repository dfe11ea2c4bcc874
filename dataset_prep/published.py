"""Counts that papers give for standard sets, to see at once whether a prepared set is the one they used."""

from typing import Dict, Optional

# (release, category): 5-core of both users and items (McAuley et al. 2015; the same in S3-Rec and MMRec).
FIVE_CORE = {
    ("2014", "Beauty"): (22_363, 12_101, 198_502),
    ("2014", "Sports_and_Outdoors"): (35_598, 18_357, 296_337),
    ("2014", "Toys_and_Games"): (19_412, 11_924, 167_597),
    ("2014", "Baby"): (19_445, 7_050, 160_792),
}


def published(release: str, category: str, k: int) -> Optional[Dict[str, int]]:
    """Return the published counts of a 5-core set; None where none are known."""
    found = FIVE_CORE.get((release, category)) if k == 5 else None
    return dict(zip(("users", "items", "interactions"), found)) if found else None


def compare(ours: Dict[str, int], theirs: Dict[str, int]) -> str:
    """Say how counts differ from the published ones."""
    names = ("users", "items", "interactions")
    if all(ours[name] == theirs[name] for name in names):
        return "the published counts exactly"
    parts = [f"{name} {ours[name]:,} (published {theirs[name]:,})" for name in names if ours[name] != theirs[name]]
    return "not the published set: " + ", ".join(parts)
