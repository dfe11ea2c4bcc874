"""Extraction: one vector per item and modality, from a backbone with or without an adapter to a feature store."""

import logging
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, distributed
from tqdm import tqdm

from recbole_sda.errors import InputError
from recbole_sda.features.store import library_versions, sha256_of, write_store
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.devices import join_processes
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.extraction_plan import Plan, Shard, make_plan
from recbole_sda.lvlm.inputs import Batches, prepared
from recbole_sda.lvlm.items import Catalogue, read_catalogue
from recbole_sda.lvlm.pooling import shorten
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.shards import Shards
from recbole_sda.machine import torchrun

logger = logging.getLogger(__name__)

DTYPES = {"float16": torch.float16, "float32": torch.float32}


class Extractor:
    """A loaded backbone with its adapter, and the plan for a catalogue.

    Args:
        settings: of the stage; ``adapter`` names a folder of :mod:`recbole_sda.lvlm.adaptation` or an adapter in it, which
            ``method`` none leaves out.
        weights: False leaves the weights where they are, for one who plans and lets others encode.
    """

    def __init__(self, settings: LVLMSettings, weights: bool = True):
        self.settings = settings
        self.backbone = load_backbone(settings, weights)
        self.adapted, adapter = None, None
        if settings.adapter and settings.method != "none":
            folder = adapters.folder_of(settings.adapter)
            adapters.check_backbone(folder, self.backbone.describe())
            if weights:
                self.adapted = adapters.load(self.backbone.model, folder).eval()
            adapter = adapters.fingerprint(folder)
        self.catalogue: Catalogue = read_catalogue(settings, "image" in self.backbone.modalities)
        b = self.backbone
        self.plan: Plan = make_plan(self.catalogue, b.describe(), b.processor, b.modalities, settings, adapter)
        if not self.plan.modalities:
            raise InputError(f"{settings.items}: no item has anything that {settings.backbone} reads")

    @torch.no_grad()
    def encode(self, shards: Sequence[Shard], done: Callable[[Shard, Tensor], None]) -> None:
        """Encode shards and hand over the vectors of each, (n_rows, dim) float32 on the CPU, as it is finished."""
        for modality in self.plan.modalities:
            own = [shard for shard in shards if shard.modality == modality]
            if own:
                with self._weights(modality) as adapted:
                    self._encode_modality(own, adapted, done)

    @contextmanager
    def _weights(self, modality: str) -> Iterator:
        """Give the adapter to pass on: None where there is none or it is merged into the weights meanwhile."""
        if self.adapted is None or not self.settings.merge or self.settings.quantization:
            yield self.adapted
            return
        with adapters.merged(self.adapted, self.backbone.modalities.index(modality)):
            yield None

    def _encode_modality(self, shards: List[Shard], adapted, done: Callable[[Shard, Tensor], None]) -> None:
        modality = shards[0].modality
        plan, settings = self.plan.modalities[modality], self.settings
        chosen = [
            [plan.distinct.first[row] for row in shard.rows[batch]] for shard in shards for batch in shard.batches
        ]
        stream = iter(prepared(Batches([plan.inputs], self.backbone.processor, chosen), settings.workers))
        for shard in shards:
            vectors = torch.empty(len(shard.rows), self.backbone.dim)
            for batch in shard.batches:
                (inputs,) = next(stream)
                vectors[torch.from_numpy(batch)] = encode(
                    self.backbone, adapted, inputs, modality, settings.pooling
                ).cpu()
            done(shard, vectors)

    def provenance(self) -> Dict:
        """Return what the store's manifest records beside counts and hashes."""
        s, failures = self.settings, self.catalogue.failures
        encoder = {**self.backbone.describe(), "adapter": self.plan.record["adapter"]}
        return {
            "encoder": encoder,
            "prompt": {"text": s.text_prompt, "image": s.image_prompt, "field_words": s.field_words},
            "pooling": s.pooling,
            "truncate_dim": s.truncate_dim,
            "l2": s.l2,
            "image_budget": {"min_pixels": s.min_pixels, "max_pixels": s.max_pixels},
            "max_tokens": s.max_tokens,
            "items_sha256": sha256_of(Path(s.items)),
            "inputs": self.plan.counts(),
            "unreadable_images": [f"{item}: {reason}" for item, reason in failures],
            "stage_versions": library_versions("transformers", "peft"),
        }


def extract(
    settings: LVLMSettings,
    out,
    overwrite: bool = False,
    encode_shards: Optional[Callable[[Plan, Shards, List[Shard]], None]] = None,
) -> Path:
    """Encode a catalogue and write a feature store; an interrupted extraction goes on where it stopped.

    Args:
        settings: of the stage.
        out: the store to write; ``<out>.partial`` holds the shards until it is whole.
        overwrite: whether an existing store is replaced.
        encode_shards: makes the missing shards in another way, as by actors on several machines; by default this
            process makes them, or each of torchrun's processes its share.

    Raises:
        InputError: the store exists, or the partial folder is of another plan.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists already; remove it, choose another name, or --overwrite=True")
    join_processes(settings)
    extractor = Extractor(settings, weights=encode_shards is None)
    plan, shards = extractor.plan, Shards(out, extractor.plan)
    torchrun.run_on_main_process(shards.open)
    missing: List[Shard] = torchrun.run_on_main_process(shards.missing)
    n_shards = sum(len(p.shards) for p in plan.modalities.values())
    for name, row in plan.counts().items():
        logger.info("%s: %d items, %d distinct inputs, %.1f %% padding", name, *_figures(row))
    if len(missing) < n_shards:
        logger.info("going on: %d of %d shards are there", n_shards - len(missing), n_shards)
    start = time.perf_counter()
    try:
        (encode_shards or _here(extractor))(plan, shards, missing)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command goes on from {shards.folder}") from None
    if torchrun.world_size() > 1:
        distributed.barrier()
    seconds = time.perf_counter() - start
    encoded = sum(len(s.rows) for s in missing)
    logger.info("encoded %d inputs in %.1f s", encoded, seconds)
    torchrun.run_on_main_process(lambda: _assemble(extractor, shards, out, overwrite))
    return out


def _here(extractor: Extractor) -> Callable[[Plan, Shards, List[Shard]], None]:
    """Return what makes this process's share of the shards."""

    def encode_shards(plan: Plan, shards: Shards, missing: List[Shard]) -> None:
        own = missing[torchrun.rank() :: torchrun.world_size()]
        with tqdm(total=sum(len(s.rows) for s in own), unit="input", disable=not torchrun.is_main()) as bar:

            def done(shard: Shard, vectors: Tensor) -> None:
                shards.write(shard, vectors)
                bar.update(len(shard.rows))

            extractor.encode(own, done)

    return encode_shards


def _figures(row: Dict) -> Tuple:
    return row["items"], row["distinct"], 100 * row["padding"]


def _assemble(extractor: Extractor, shards: Shards, out: Path, overwrite: bool) -> None:
    settings, ids = extractor.settings, extractor.catalogue.ids
    features, present = {}, {}
    for name, plan in extractor.plan.modalities.items():
        exact = shorten(shards.assemble(name), settings.truncate_dim, settings.l2)
        vectors = exact.to(DTYPES[settings.store_dtype])
        if exact.isfinite().all() and not vectors.isfinite().all():
            largest = float(exact.abs().max())
            raise InputError(
                f"{name} vectors reach {largest:.3g}, above float16's 65504: the shards are kept, so the same command with "
                "--store_dtype=float32 ends at once"
            )
        features[name] = torch.zeros(len(ids), vectors.shape[1], dtype=vectors.dtype)
        features[name][plan.items] = vectors
        present[name] = torch.zeros(len(ids), dtype=torch.bool)
        present[name][plan.items] = True
    write_store(out, ids, features, present, extractor.provenance(), overwrite)
    shutil.rmtree(shards.folder)
