"""The record of an adaptation, ``adapt.yaml``: what it must hold where it is read again."""

from pathlib import Path
from typing import Any, Dict

from recbole_sda.errors import InputError
from recbole_sda.io.schema import COUNT, NUMBER, check_shape
from recbole_sda.io.yaml import read_yaml

SHAPE = {
    "settings": dict,
    "backbone?": dict,
    "items_sha256?": str,
    "best?": {"step": COUNT},
    "gates?": {str: [[NUMBER]]},
    "adapter?": {"method": str, "sha256": str},
}


def read_record(path: Path) -> Dict[str, Any]:
    """Return the record of an adaptation.

    Raises:
        InputError: the file is missing or damaged, an entry is missing or has another type, or layers have other numbers of gates.
    """
    record: Dict[str, Any] = check_shape(read_yaml(path), SHAPE, str(path))
    sizes = {tuple(map(len, rows)) for rows in record.get("gates", {}).values()}
    if len(sizes) > 1 or any(not size or min(size) == 0 for size in sizes):
        raise InputError(f"{path}: gates: expected the same number of modalities and experts in each layer, at least 1")
    return record
