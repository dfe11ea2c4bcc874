"""What the manifest of an extracted feature store records about the vectors."""

from pathlib import Path
from typing import Any, Dict

from recbole_sda.features.manifest import library_versions
from recbole_sda.io.hashes import sha256_of
from recbole_sda.lvlm.extraction_plan import Plan
from recbole_sda.lvlm.items import ItemContent
from recbole_sda.lvlm.settings import LVLMSettings


def provenance(settings: LVLMSettings, content: ItemContent, plan: Plan, encoder: Dict[str, Any]) -> Dict[str, Any]:
    """Return what a store's manifest records in addition to counts and hashes.

    Args:
        settings: settings with which the vectors were made.
        content: the items.
        plan: plan of the extraction.
        encoder: backend, model, revision and adapter.
    """
    s = settings
    return {
        "encoder": {"backend": s.backend, **encoder},
        "prompt": {"text": s.text_prompt, "image": s.image_prompt, "field_words": s.field_words},
        "instruction": s.instruction,
        "pooling": s.pooling,
        "truncate_dim": s.truncate_dim,
        "l2": s.l2,
        "image_budget": {"min_pixels": s.min_pixels, "max_pixels": s.max_pixels},
        "max_tokens": s.max_tokens,
        "items_sha256": sha256_of(Path(str(s.items))),
        "inputs": plan.counts(),
        "unreadable_images": [f"{item}: {reason}" for item, reason in content.unreadable],
        "stage_versions": library_versions("transformers", "peft"),
    }
