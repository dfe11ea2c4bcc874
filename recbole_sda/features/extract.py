"""Light features of a catalogue: from ``items.jsonl`` (texts and image paths) to a feature store."""

import logging
from pathlib import Path
from typing import Dict, List, Sequence, Tuple, Union

from recbole_sda.errors import InputError
from recbole_sda.features.items_file import NON_TEXT_FIELDS, item_text, read_items
from recbole_sda.features.light_encoders import Failure, encode_images, encode_texts, provenance
from recbole_sda.features.writer import check_target, write_store
from recbole_sda.io.atomic_folder import folder_lock

logger = logging.getLogger(__name__)

MAX_WARNINGS = 5  # about unreadable images


def extract_light(
    items_file: Union[str, Path],
    out: Union[str, Path],
    dim: int = 64,
    text_fields: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Encode a catalogue with the light encoders and write a feature store.

    Args:
        items_file: see :func:`recbole_sda.features.items_file.read_items`.
        out: directory of the store.
        dim: largest width of each modality.
        text_fields: fields that make the text; empty takes all but ``item_id`` and ``image``.
        overwrite: whether an existing store is replaced.

    Returns:
        The path of the store.

    Raises:
        InputError: the items file is invalid, no item has a field of ``text_fields``, the items have neither texts nor
            images, or ``out`` exists already.
    """
    with folder_lock(out):
        check_target(Path(out), overwrite)
        ids, features, present, record = _encode(items_file, dim, text_fields)
        return write_store(out, ids, features, present, record, overwrite)


def _encode(items_file: Union[str, Path], dim: int, text_fields: Sequence[str]) -> Tuple[List[str], Dict, Dict, Dict]:
    """Return the ids, vectors by modality, masks by modality, and the provenance of a catalogue."""
    items = read_items(items_file)
    available = list(dict.fromkeys(name for item in items for name in item if name not in NON_TEXT_FIELDS))
    for name in text_fields:
        if name not in available:
            raise InputError(f"{items_file}: no item has the field {name!r}; available: {', '.join(available)}")
    fields = list(text_fields) or available
    folder = Path(items_file).parent
    features, present = {}, {}
    failures: List[Failure] = []
    images = [folder / item["image"] if item["image"] else None for item in items]
    try:
        if any(images):
            features["image"], present["image"], failures = encode_images(images, dim)
        if fields:
            features["text"], present["text"] = encode_texts([item_text(item, fields) for item in items], dim)
    except InputError as error:
        raise InputError(f"{items_file}: {error}") from None
    if not features:
        raise InputError(f"{items_file}: the items have neither texts nor images")
    _warn_of(failures)
    record = provenance(dim, dim, fields) | {"unreadable_images": [reason for _, reason in failures]}
    return [item["item_id"] for item in items], features, present, record


def _warn_of(failures: Sequence[Failure]) -> None:
    for _, reason in failures[:MAX_WARNINGS]:
        logger.warning("unreadable image, counted as missing: %s", reason)
    if len(failures) > MAX_WARNINGS:
        logger.warning("... and %d more; the store's manifest lists all", len(failures) - MAX_WARNINGS)
