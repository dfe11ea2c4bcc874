"""The plan of an extraction: which distinct inputs make which shard, in which batches; the same for every process."""

import hashlib
import json
from typing import Any, Dict, List, NamedTuple

import numpy as np

from recbole_sda import __version__
from recbole_sda.lvlm.batching import Distinct, distinct, padding_share, token_batches
from recbole_sda.lvlm.inputs import Inputs, make_inputs
from recbole_sda.lvlm.items import Catalogue
from recbole_sda.lvlm.settings import LVLMSettings

# Settings that decide what the vectors are; the others may change when an extraction goes on.
DECISIVE = ("dtype", "quantization", "min_pixels", "max_pixels", "max_tokens", "pooling", "merge", "shard_items")


class Shard(NamedTuple):
    """Distinct inputs of one modality that are encoded and stored together.

    Attributes:
        modality: ``image`` or ``text``.
        number: within the modality, from 0.
        rows: numbers of the distinct inputs, longest first, (n_rows,).
        batches: positions among ``rows``, batch by batch.
    """

    modality: str
    number: int
    rows: np.ndarray
    batches: List[np.ndarray]

    @property
    def name(self) -> str:
        """Name of the shard's file."""
        return f"{self.modality}-{self.number:05d}.safetensors"


class ModalityPlan(NamedTuple):
    """One modality of a plan.

    Attributes:
        items: positions in the catalogue of the items that have the modality, (n,).
        inputs: their inputs, (n,).
        distinct: which of them are equal.
        shards: all distinct inputs, cut up.
        padding: share of padding among all tokens that go through the model.
    """

    items: List[int]
    inputs: Inputs
    distinct: Distinct
    shards: List[Shard]
    padding: float


class Plan(NamedTuple):
    """What an extraction does.

    Attributes:
        modalities: per modality of the backbone.
        record: what everything depends on, as plain data.
        fingerprint: hash of the record; a shard belongs to a plan by it.
    """

    modalities: Dict[str, ModalityPlan]
    record: Dict[str, Any]
    fingerprint: str

    def counts(self) -> Dict[str, Dict[str, Any]]:
        """Return per modality the numbers of items and of distinct inputs, and the share of padding."""
        return {
            name: {"items": len(p.items), "distinct": len(p.distinct.first), "padding": round(p.padding, 4)}
            for name, p in self.modalities.items()
        }


def make_plan(
    catalogue: Catalogue, backbone_record: dict, processor, modalities, settings: LVLMSettings, adapter: Any = None
) -> Plan:
    """Plan an extraction.

    Args:
        catalogue: the items.
        backbone_record: see :meth:`recbole_sda.lvlm.backbone.Backbone.describe`.
        processor: renders and measures inputs.
        modalities: names of what the backbone reads.
        settings: of the stage.
        adapter: plain data that names the adapter, or None.
    """
    made = {m: _plan_modality(catalogue, m, processor, settings) for m in modalities}
    contents = {m: _digest(_keys(p)) for m, p in made.items() if p.items}
    record = {
        "recbole_sda": __version__,
        "backbone": backbone_record,
        "adapter": adapter,
        "settings": {name: getattr(settings, name) for name in DECISIVE},
        "inputs": contents,
    }
    return Plan({m: p for m, p in made.items() if p.items}, record, _digest(record))


def _plan_modality(catalogue: Catalogue, modality: str, processor, settings: LVLMSettings) -> ModalityPlan:
    items = catalogue.having(modality)
    inputs = make_inputs(catalogue, modality, processor, items, settings.max_tokens)
    once = distinct(inputs.keys())
    lengths = np.array(inputs.lengths(processor))[once.first] if items else np.empty(0, dtype=int)
    order = np.argsort(-lengths, kind="stable")  # shards of like lengths, so that their batches are too
    shards, every = [], []
    for number, start in enumerate(range(0, len(order), settings.shard_items)):
        rows = order[start : start + settings.shard_items]
        batches = token_batches(lengths[rows], settings.token_budget)
        shards.append(Shard(modality, number, rows, batches))
        every += [rows[batch] for batch in batches]
    return ModalityPlan(items, inputs, once, shards, padding_share(lengths, every))


def _keys(plan: ModalityPlan) -> List[str]:
    keys = plan.inputs.keys()
    return [keys[k] for k in plan.distinct.first]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
