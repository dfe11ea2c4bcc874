"""MMRec's interaction files with published splits: column ``x_label`` is 0 for train, 1 for validation, 2 for test."""

from itertools import chain
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple, Union

import numpy as np

from dataset_prep.interactions import Interactions, collect
from dataset_prep.problems import Problems
from dataset_prep.records import csv_rows
from dataset_prep.rows import parse_rows
from dataset_prep.splits import check_parts
from recbole_sda.errors import InputError

FIELDS = {"user": "userID", "item": "itemID", "rating": "rating", "time": "timestamp"}
LABELS = {"0": 0, "1": 1, "2": 2}


def read_mmrec(path: Union[str, Path], problems: Problems) -> Tuple[Interactions, np.ndarray]:
    """Return the interactions of a file and the part of each: 0 train, 1 validation, 2 test.

    MMRec's vectors belong to the items by number: row k of ``image_feat.npy`` is item ``k``.

    Raises:
        InputError: a column is missing, a label is not 0, 1 or 2, or a row cannot be read: the split would be
            incomplete without it.
    """
    parts: List[int] = []

    def checked_rows() -> Iterator[Dict[str, Any]]:
        for number, row in enumerate(csv_rows(path, problems), start=2):
            _check_columns(path, row)
            label = row["x_label"]
            if label not in LABELS:
                raise InputError(f"{path}, line {number}: x_label is {label!r}; allowed are 0, 1 and 2")
            parts.append(LABELS[label])
            yield row

    rows = checked_rows()
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} holds no interactions")
    fields = {key: name for key, name in FIELDS.items() if name in first}
    data = collect(parse_rows(chain([first], rows), fields, path, problems))
    if problems.counts:
        bad = problems.examples[0]
        raise InputError(
            f"{bad['where']}: {bad['problem']}, {bad['found']!r}; a split is read completely or not at all"
        )
    part = np.array(parts, dtype=np.int8)
    check_parts(part, f"{path}: x_label")
    return data, part


def _check_columns(path: Union[str, Path], row: Dict[str, Any]) -> None:
    if not {"userID", "itemID", "x_label"} <= set(row):
        raise InputError(f"{path}: expected columns userID, itemID and x_label; found {', '.join(row)}")
