"""Published splits as given: MMRec's interaction files, whose column ``x_label`` says train (0), validation (1) or test (2)."""

from pathlib import Path
from typing import Tuple

import numpy as np

from dataset_prep.interactions import Interactions, collect, pick
from dataset_prep.lines import csv_rows
from dataset_prep.problems import Problems
from recbole_sda.errors import InputError

FIELDS = {"user": "userID", "item": "itemID", "rating": "rating", "time": "timestamp"}
LABELS = {"0": 0, "1": 1, "2": 2}


def read_mmrec(path, problems: Problems) -> Tuple[Interactions, np.ndarray]:
    """Return the interactions of a file and the part of each: 0 train, 1 validation, 2 test.

    MMRec's vectors belong to the items by number: row k of ``image_feat.npy`` is item ``k``.

    Raises:
        InputError: columns are missing, or a label is none of 0, 1 and 2.
    """
    parts, names = [], set()

    def rows():
        for number, row in enumerate(csv_rows(path, problems), start=2):
            names.update(row)
            label = row.get("x_label")
            if label is None:
                raise InputError(f"{path}: expected columns userID, itemID and x_label; found {', '.join(row)}")
            if label not in LABELS:
                raise InputError(f"{path}, line {number}: x_label is {label!r}; allowed are 0, 1 and 2")
            parts.append(LABELS[label])
            yield row

    checked = rows()
    first = next(checked, None)
    if first is None:
        raise InputError(f"{Path(path)} holds no interactions")
    fields = {key: name for key, name in FIELDS.items() if name in first}
    for key in ("user", "item"):
        if key not in fields:
            raise InputError(f"{path}: expected columns userID, itemID and x_label; found {', '.join(first)}")

    def every():
        yield first
        yield from checked

    data = collect(pick(every(), fields, path, problems))
    if problems.counts:
        first_one = problems.examples[0]
        raise InputError(
            f"{first_one['where']}: {first_one['problem']}, {first_one['found']!r}; a split is taken whole"
        )
    return data, np.array(parts, dtype=np.int8)
