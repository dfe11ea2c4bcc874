"""Choice of a run's data set: the one that is named, or the built-in miniature of a supported one that is not prepared."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Union

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX, preparation_command, supported_datasets
from recbole_sda.data.interaction_files import is_prepared
from recbole_sda.data.miniature.generate import generate
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.extract import extract_light
from recbole_sda.features.store_choice import default_store, set_default
from recbole_sda.io.locks import wait_for_lock
from recbole_sda.io.names import safe_name

logger = logging.getLogger(__name__)

SHIPPED_WITH_RECBOLE = "ml-100k"
SAMPLE_DIM = 64  # width of the light features of a miniature


def choose_dataset(name: str, data_path: Union[str, Path]) -> str:
    """Return ``name``, or the name of its built-in miniature if it is a supported data set that is not prepared.

    A warning then explains how to prepare the real data set.

    Raises:
        InputError: the data set is neither prepared nor supported, or its name cannot be that of a folder.
    """
    safe_name("dataset", name)
    if name == SHIPPED_WITH_RECBOLE or is_prepared(name, data_path):
        return name
    full, folder = name.removesuffix(SAMPLE_SUFFIX), Path(data_path) / name
    if full not in supported_datasets():
        root = Path(data_path)
        prepared = sorted(path.name for path in root.iterdir() if is_prepared(path.name, root)) if root.is_dir() else []
        names = sorted({*prepared, *supported_datasets(), SHIPPED_WITH_RECBOLE})
        raise InputError(
            f"data set {name!r}: {folder / (name + '.inter')} does not exist, and no miniature is built in; "
            "`python -m dataset_prep --help` explains how to make a data set. "
            f"Available are {', '.join(names)}.{nearest(name, names)}"
        )
    if name == full:
        _warn_of_miniature(name, str(data_path))
    return full + SAMPLE_SUFFIX


@lru_cache(maxsize=None)  # once per process, however many runs it makes
def _warn_of_miniature(name: str, data_path: str) -> None:
    folder = Path(data_path) / name
    logger.warning(
        "%s is not prepared: %s does not exist.\n"
        "  To prepare the real data set: %s\n"
        "  (downloads reviews, metadata and images). Then put item vectors into %s:\n"
        "  see python -m recbole_sda features --help, or lvlm --help.\n"
        "  THIS RUN USES THE BUILT-IN MINIATURE %s: invented products and users. Its figures have\n"
        "  no meaning for the real data set.",
        name, folder / f"{name}.inter", preparation_command(name, data_path), folder / "features", name + SAMPLE_SUFFIX,
    )  # fmt: skip


def ensure_sample(name: str, data_path: Union[str, Path]) -> None:
    """Generate a miniature and its light features, which are its default, if they are missing."""
    folder = Path(data_path) / name
    with wait_for_lock(Path(data_path) / f".{name}.lock"):
        if not is_prepared(name, data_path):
            logger.info("generating %s in %s", name, folder)
            generate(name.removesuffix(SAMPLE_SUFFIX), data_path)
        store = folder / "features" / "light"
        if not store.is_dir() and (folder / "items.jsonl").is_file():
            logger.info("extracting light features of %s into %s", name, store)
            extract_light(folder / "items.jsonl", store, SAMPLE_DIM)
        if store.is_dir() and default_store(folder) is None:
            set_default(store)
