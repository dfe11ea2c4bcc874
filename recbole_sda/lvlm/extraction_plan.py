"""The plan of an extraction: which distinct inputs form which shard and batch; the same in every process."""

import hashlib
import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from recbole_sda import __version__
from recbole_sda.lvlm.batching import Distinct, distinct, padding_share, token_batches
from recbole_sda.lvlm.inputs import Inputs, Renderer, make_inputs
from recbole_sda.lvlm.items import ItemContent
from recbole_sda.lvlm.settings import LVLMSettings

# Settings that determine the vectors. All others may change when an interrupted extraction is continued.
DECISIVE = (
    "dtype",
    "quantization",
    "min_pixels",
    "max_pixels",
    "max_tokens",
    "pooling",
    "instruction",
    "merge",
    "shard_items",
)


class Shard(NamedTuple):
    """Distinct inputs of one modality that are encoded and stored together.

    Attributes:
        modality: ``image`` or ``text``.
        number: number of the shard within the modality, from 0.
        rows: numbers of the distinct inputs, longest first, (n_rows,).
        batches: positions in ``rows``, one array per batch.
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
    """The plan of one modality.

    Attributes:
        items: positions of the items that have the modality, (n,).
        inputs: their inputs, (n,).
        distinct: which of the inputs are equal.
        shards: all distinct inputs, divided into shards.
        padding: share of padding among all tokens that the model processes.
    """

    items: List[int]
    inputs: Inputs
    distinct: Distinct
    shards: List[Shard]
    padding: float


class Plan(NamedTuple):
    """The plan of an extraction.

    Attributes:
        modalities: plan of each modality that the backbone reads and that some item has.
        record: everything that the vectors depend on, as plain data.
        fingerprint: SHA-256 of the record; it marks the shards of this plan.
    """

    modalities: Dict[str, ModalityPlan]
    record: Dict[str, Any]
    fingerprint: str

    def counts(self) -> Dict[str, Dict[str, Any]]:
        """Return per modality the number of items, the number of distinct inputs and the share of padding."""
        return {
            name: {"items": len(p.items), "distinct": len(p.distinct.first), "padding": round(p.padding, 4)}
            for name, p in self.modalities.items()
        }


def make_plan(
    content: ItemContent,
    backbone_record: Dict[str, Any],
    processor: Renderer,
    modalities: Sequence[str],
    settings: LVLMSettings,
    adapter: Optional[Dict[str, str]] = None,
) -> Plan:
    """Plan an extraction.

    Args:
        content: texts and images of the items.
        backbone_record: see :meth:`recbole_sda.lvlm.backbone.Backbone.describe`.
        processor: renders and measures the inputs.
        modalities: names of the modalities that the backbone reads.
        settings: settings of the stage.
        adapter: see :func:`recbole_sda.lvlm.adapters.fingerprint`; None without an adapter.
    """
    plans = {m: _plan_modality(content, m, processor, settings) for m in modalities}
    plans = {m: plan for m, plan in plans.items() if plan.items}
    record = {
        "recbole_sda": __version__,
        "backbone": backbone_record,
        "adapter": adapter,
        "settings": {name: getattr(settings, name) for name in DECISIVE},
        "inputs": {m: _digest(_distinct_keys(plan)) for m, plan in plans.items()},
    }
    return Plan(plans, record, _digest(record))


def _plan_modality(content: ItemContent, modality: str, processor: Renderer, settings: LVLMSettings) -> ModalityPlan:
    items = content.positions_with(modality)
    inputs = make_inputs(content, modality, processor, items, settings.max_tokens)
    once = distinct(inputs.keys())
    lengths = np.array(inputs.lengths(processor))[once.first] if items else np.empty(0, dtype=int)
    order = np.argsort(-lengths, kind="stable")  # inputs of similar length share a shard, and so its batches
    shards: List[Shard] = []
    all_batches: List[np.ndarray] = []
    for number, start in enumerate(range(0, len(order), settings.shard_items)):
        rows = order[start : start + settings.shard_items]
        batches = token_batches(lengths[rows], settings.token_budget)
        shards.append(Shard(modality, number, rows, batches))
        all_batches += [rows[batch] for batch in batches]
    return ModalityPlan(items, inputs, once, shards, padding_share(lengths, all_batches))


def _distinct_keys(plan: ModalityPlan) -> List[str]:
    keys = plan.inputs.keys()
    return [keys[k] for k in plan.distinct.first]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
