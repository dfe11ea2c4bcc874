"""Shards of an extraction on disk: written atomically, and reused only by the same plan."""

import json
from pathlib import Path
from typing import Any, List, Union

import torch
from safetensors.torch import save_file
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write, remove_file_drafts, write_text
from recbole_sda.io.content_hash import content_hash
from recbole_sda.io.json import read_json
from recbole_sda.io.tensors import open_tensors, tensor_of
from recbole_sda.lvlm.extraction_plan import Plan, Shard

PLAN = "plan.json"
HASH = "content_hash"  # of the vectors, in the header of a shard


class Shards:
    """The folder ``<store>.partial`` of an unfinished extraction.

    Args:
        out: the feature store that the extraction makes.
        plan: plan of the extraction.
    """

    def __init__(self, out: Union[str, Path], plan: Plan):
        out = Path(out)
        self.folder, self.plan = out.with_name(out.name + ".partial"), plan

    def open(self) -> None:
        """Create the folder, or reuse it if an earlier extraction of the same plan was interrupted.

        Raises:
            InputError: the folder belongs to another plan; the message names the differences.
        """
        path = self.folder / PLAN
        if path.is_file():
            earlier = read_json(path, dict, f"remove {self.folder} to start again")
            changed = differences(earlier, json.loads(json.dumps(self.plan.record, default=str)))
            if changed:
                raise InputError(
                    f"{self.folder} was started with another plan: {'; '.join(changed[:5])}. Extract with the earlier "
                    "settings to continue it, or remove it to start again"
                )
            remove_file_drafts(self.folder)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(self.plan.record, indent=2, default=str) + "\n")

    def finished(self, shard: Shard) -> bool:
        """Return whether a shard exists, is complete and belongs to this plan."""
        try:
            self.read(shard)
        except InputError:
            return False
        return True

    def write(self, shard: Shard, vectors: Tensor) -> None:
        """Write the vectors of a shard's rows, (n_rows, dim)."""
        with atomic_write(self.folder / shard.name) as draft:
            vectors = vectors.contiguous()
            save_file({"vectors": vectors}, draft, {"plan": self.plan.fingerprint, HASH: content_hash(vectors)})

    def read(self, shard: Shard) -> Tensor:
        """Return the vectors of a shard's rows, (n_rows, dim).

        Raises:
            InputError: the shard is missing, damaged or of another plan.
        """
        path = self.folder / shard.name
        file = open_tensors(path)
        noted, vectors = file.metadata() or {}, tensor_of(file, "vectors", path)
        if noted.get("plan") != self.plan.fingerprint or vectors.dim() != 2 or len(vectors) != len(shard.rows):
            raise InputError(f"shard {path} is of another plan")
        if noted.get(HASH) != content_hash(vectors):
            raise InputError(f"shard {path} was changed after it was written")
        return vectors

    def missing(self) -> List[Shard]:
        """Return the unfinished shards, in the plan's order."""
        return [shard for p in self.plan.modalities.values() for shard in p.shards if not self.finished(shard)]

    def assemble(self, modality: str) -> Tensor:
        """Return the vectors of all items that have a modality, in the plan's order of items, (n, dim)."""
        plan = self.plan.modalities[modality]
        parts = [self.read(shard) for shard in plan.shards]
        vectors = torch.empty(len(plan.distinct.first), parts[0].shape[1])
        for shard, part in zip(plan.shards, parts):
            vectors[torch.from_numpy(shard.rows)] = part
        return vectors[torch.from_numpy(plan.distinct.row)]


def differences(old: Any, new: Any, name: str = "") -> List[str]:
    """Return the differences of two nested dicts of plain data, as ``key: old -> new``.

    Example:
        >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
        ['a.c: 2 -> 3']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        changes = []
        for key in dict.fromkeys([*old, *new]):
            changes += differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
        return changes
    return [] if old == new else [f"{name}: {old} -> {new}"]
