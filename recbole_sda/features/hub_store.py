"""Feature stores on the Hugging Face Hub, ``--features=hf://owner/name@revision``: a data set repository with a store's files."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from recbole_sda.features.manifest import FEATURES, ITEM_IDS, MANIFEST
from recbole_sda.io.hub import check_hash, fetch, parse_hub_name

STORE_FILES = (MANIFEST, ITEM_IDS, FEATURES)
REPO_TYPE = "dataset"


class HubStore(NamedTuple):
    """A store of the Hub in the cache.

    Attributes:
        path: its folder.
        pinned: its name with the commit as revision, which names the same bytes at any time.
    """

    path: Path
    pinned: str


@lru_cache(maxsize=None)  # all runs of a process read the same commit of a branch
def hub_store(name: str) -> HubStore:
    """Return a store of the Hub, which is downloaded where the cache lacks it.

    The hash of the manifest is checked here. The manifest has those of the other files, which the reader of the store checks.

    Raises:
        InputError: see :func:`recbole_sda.io.hub.fetch`; or the manifest is not what the Hub has.
    """
    repository = parse_hub_name("features", name)
    snapshot = fetch(repository, REPO_TYPE, STORE_FILES, action="features")
    check_hash(snapshot.folder / MANIFEST)
    return HubStore(snapshot.folder, str(repository._replace(revision=snapshot.commit)))
