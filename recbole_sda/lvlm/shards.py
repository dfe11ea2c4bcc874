"""Shards of an extraction on disk: written whole or not at all, taken up again by the same plan alone."""

import json
from pathlib import Path
from typing import List

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.lvlm.extraction_plan import Plan, Shard

PLAN = "plan.json"


class Shards:
    """The folder ``<store>.partial`` of an extraction under way.

    Args:
        out: the store that is being made.
        plan: of the extraction.
    """

    def __init__(self, out, plan: Plan):
        out = Path(out)
        self.folder, self.plan = out.with_name(out.name + ".partial"), plan

    def open(self) -> None:
        """Begin, or go on where an earlier extraction of the same plan stopped.

        Raises:
            InputError: the folder belongs to another plan; the message says what differs.
        """
        path = self.folder / PLAN
        if path.is_file():
            try:
                old = json.loads(path.read_text(encoding="utf-8"))
            except json.JSONDecodeError:
                raise InputError(f"{path} is damaged; remove {self.folder} to start anew") from None
            changed = differences(old, json.loads(json.dumps(self.plan.record, default=str)))
            if changed:
                raise InputError(
                    f"{self.folder} was begun with another plan: {'; '.join(changed[:5])}. Extract with the former "
                    "settings to go on, or remove it to start anew"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            draft.write_text(json.dumps(self.plan.record, indent=2, default=str) + "\n", encoding="utf-8")

    def finished(self, shard: Shard) -> bool:
        """Return whether a shard is there, whole and of this plan."""
        try:
            self.read(shard)
        except InputError:
            return False
        return True

    def write(self, shard: Shard, vectors: Tensor) -> None:
        """Write the vectors of a shard's rows, (n_rows, dim)."""
        with atomic_write(self.folder / shard.name) as draft:
            save_file({"vectors": vectors.contiguous()}, draft, {"plan": self.plan.fingerprint})

    def read(self, shard: Shard) -> Tensor:
        """Return the vectors of a shard's rows, (n_rows, dim)."""
        path = self.folder / shard.name
        try:
            with safe_open(path, framework="pt") as file:
                plan, vectors = (file.metadata() or {}).get("plan"), file.get_tensor("vectors")
        except (SafetensorError, OSError) as error:
            raise InputError(f"shard {path} cannot be read ({error})") from None
        if plan != self.plan.fingerprint or len(vectors) != len(shard.rows):
            raise InputError(f"shard {path} is of another plan")
        return vectors

    def missing(self) -> List[Shard]:
        """Return the shards that are still to be made, in the plan's order."""
        return [shard for p in self.plan.modalities.values() for shard in p.shards if not self.finished(shard)]

    def assemble(self, modality: str) -> Tensor:
        """Return the vectors of all items that have a modality, in the plan's order of items, (n, dim)."""
        plan = self.plan.modalities[modality]
        parts = [self.read(shard) for shard in plan.shards]
        rows = torch.from_numpy(plan.distinct.row)
        whole = torch.empty(len(plan.distinct.first), parts[0].shape[1])
        for shard, vectors in zip(plan.shards, parts):
            whole[torch.from_numpy(shard.rows)] = vectors
        return whole[rows]


def differences(old, new, name: str = "") -> List[str]:
    """Return where two nested dicts of plain data differ, as ``key: old -> new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in dict.fromkeys([*old, *new]):
            found += differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
        return found
    return [] if old == new else [f"{name}: {old} -> {new}"]
