"""Files of semantic ids in the forms that generative recommenders read.

The forms ``tiger``, ``grid`` and ``minionerec`` name items by their position. A file ``<name>.items.txt`` beside them has the
external id of each position, one per line.
"""

import json
from pathlib import Path
from typing import Dict, List

import torch

from recbole_sda.errors import InputError
from recbole_sda.features.semantic_ids import SemanticIds
from recbole_sda.io.atomic_write import atomic_write, write_lines, write_text

SUFFIXES = {"json": ".json", "tiger": ".json", "grid": ".pt", "minionerec": ".json"}
MAX_LEVELS = 25  # a letter for each level and for the last token


def check_target(path: Path, form: str) -> None:
    """Refuse a file whose suffix is not the one of its form, or that is a folder."""
    if path.suffix != SUFFIXES[form]:
        raise InputError(f"--out {path}: expected a file that ends with {SUFFIXES[form]}, for the form {form}")
    if path.is_dir():
        raise InputError(f"--out {path}: this is a folder; expected a file")


def write_semantic_ids(ids: SemanticIds, path: Path, form: str) -> List[Path]:
    """Write semantic ids in a form, each file atomically; return the paths of the files.

    Args:
        ids: the semantic ids.
        path: the file; ``<name>.quality.json`` beside it gets what they were made from, and their figures.
        form: ``json``: item id -> codes and last token, which ``id_codes`` reads; items without a vector are left out.
            ``tiger``: position -> tokens that are distinct over the levels (RecBole 3). ``grid``: a tensor
            (n_levels + 1, n_items) of codes and last token. ``minionerec``: position -> texts as ``<a_12>``, with the last token
            for items of equal codes only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "grid":
        with atomic_write(path) as draft:
            torch.save(torch.cat([ids.codes, ids.last[:, None]], dim=1).T.contiguous(), draft)
    else:
        content = {"json": _by_item, "tiger": _offset_tokens, "minionerec": _words}[form](ids)
        write_text(path, json.dumps(content) + "\n")
    written = [path, path.with_name(f"{path.stem}.quality.json")]
    write_text(written[1], json.dumps({"form": form, **ids.record}, indent=2) + "\n")
    if form != "json":
        written.append(path.with_name(f"{path.stem}.items.txt"))
        write_lines(written[2], (f"{item}\n" for item in ids.item_ids))
    return written


def _rows(ids: SemanticIds) -> List[List[int]]:
    """Return the codes and the last token of each item."""
    rows: List[List[int]] = torch.cat([ids.codes, ids.last[:, None]], dim=1).tolist()
    return rows


def _by_item(ids: SemanticIds) -> Dict[str, object]:
    rows = zip(ids.item_ids, _rows(ids), ids.has_vector.tolist())
    keys = ("store_sha256", "modalities", "views", "seed", "sizes")
    record = {key: ids.record[key] for key in keys}
    return {**record, "codes": {item: row for item, row, known in rows if known}}


def _offset_tokens(ids: SemanticIds) -> Dict[str, List[int]]:
    offset = torch.tensor([0, *ids.sizes]).cumsum(0).tolist()
    return {str(n): [start + code for start, code in zip(offset, row)] for n, row in enumerate(_rows(ids))}


def _words(ids: SemanticIds) -> Dict[str, List[str]]:
    _, group, counts = torch.unique(ids.codes, dim=0, return_inverse=True, return_counts=True)
    alone = (counts[group] == 1).tolist()
    words = [[f"<{chr(97 + level)}_{code}>" for level, code in enumerate(row)] for row in _rows(ids)]
    return {str(n): word[:-1] if unique else word for n, (word, unique) in enumerate(zip(words, alone))}
