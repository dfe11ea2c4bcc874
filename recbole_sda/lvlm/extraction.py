"""Extraction: one vector per item and modality, from a backbone with or without an adapter to a feature store."""

import logging
import shutil
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

import torch
from peft import PeftModel
from torch import Tensor, distributed

from recbole_sda.errors import InputError
from recbole_sda.features.writer import write_store
from recbole_sda.io.atomic_folder import folder_lock
from recbole_sda.io.progress import Progress
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.backbone import load_backbone, resolved
from recbole_sda.lvlm.backends.extractor import BackendExtractor
from recbole_sda.lvlm.devices import join_processes
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.extraction_plan import Plan, Shard, make_plan
from recbole_sda.lvlm.inputs import Batches, batch_loader
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.pooling import truncate
from recbole_sda.lvlm.provenance import provenance
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.shards import Shards
from recbole_sda.machine import torchrun

logger = logging.getLogger(__name__)

DTYPES = {"float16": torch.float16, "float32": torch.float32}

ShardEncoder = Callable[[Plan, Shards, List[Shard]], None]  # encodes the given shards of a plan and writes them


class Extractor:
    """A loaded backbone with its adapter, and the plan for all items.

    Args:
        settings: settings of the stage. ``adapter`` names the folder of an adaptation or an adapter in it; ``method`` none
            leaves the adapter out.
        weights: False loads no weights: enough to plan the extraction when other processes encode.

    Raises:
        InputError: the backbone, the adapter or the items cannot be used, or no item has a modality that is read.
    """

    def __init__(self, settings: LVLMSettings, weights: bool = True):
        self.settings = settings = resolved(settings)
        self.backbone = load_backbone(settings, weights)
        self.adapted: Optional[PeftModel] = None
        adapter = None
        if settings.adapter and settings.method != "none":
            folder = adapters.folder_of(settings.adapter)
            adapters.check_backbone(folder, self.backbone.describe())
            if weights:
                self.adapted = adapters.load(self.backbone.model, folder).eval()
            adapter = adapters.fingerprint(folder)
        b = self.backbone
        self.content = read_item_content(settings, "image" in b.modalities)
        self.plan = make_plan(self.content, b.describe(), b.processor, b.modalities, settings, adapter)
        if not self.plan.modalities:
            raise InputError(f"{settings.items}: no item has a modality that {settings.backbone} reads")

    @torch.no_grad()
    def encode(self, shards: Sequence[Shard], done: Callable[[Shard, Tensor], None]) -> None:
        """Encode shards.

        Args:
            shards: shards of the plan.
            done: called after each shard with its vectors, (n_rows, dim), float32, on the CPU.
        """
        for modality in self.plan.modalities:
            of_modality = [shard for shard in shards if shard.modality == modality]
            if of_modality:
                with self._adapter(modality) as adapted:
                    self._encode_modality(of_modality, adapted, done)

    @contextmanager
    def _adapter(self, modality: str) -> Iterator[Optional[PeftModel]]:
        """Yield the adapted model; None without an adapter, or while the adapter is merged into the weights."""
        if self.adapted is None or not self.settings.merge or self.settings.quantization:
            yield self.adapted
            return
        with adapters.merged(self.adapted, self.backbone.modalities.index(modality)):
            yield None

    def _encode_modality(
        self, shards: List[Shard], adapted: Optional[PeftModel], done: Callable[[Shard, Tensor], None]
    ) -> None:
        modality = shards[0].modality
        plan, settings = self.plan.modalities[modality], self.settings
        batches = [
            [plan.distinct.first[row] for row in shard.rows[batch]] for shard in shards for batch in shard.batches
        ]
        loader = iter(batch_loader(Batches([plan.inputs], self.backbone.processor, batches), settings.workers))
        for shard in shards:
            vectors = torch.empty(len(shard.rows), self.backbone.dim)
            for batch in shard.batches:
                (inputs,) = next(loader)
                encoded = encode(self.backbone, adapted, inputs, modality, settings.pooling)
                vectors[torch.from_numpy(batch)] = encoded.cpu()
            done(shard, vectors)

    def provenance(self) -> Dict[str, Any]:
        """Return what the store's manifest records in addition to counts and hashes."""
        encoder = {**self.backbone.describe(), "adapter": self.plan.record["adapter"]}
        return provenance(self.settings, self.content, self.plan, encoder)


AnyExtractor = Union[Extractor, BackendExtractor]


def run_extraction(
    settings: LVLMSettings,
    out: Union[str, Path],
    overwrite: bool = False,
    encode_shards: Optional[ShardEncoder] = None,
) -> Path:
    """Encode all items and write a feature store; an interrupted extraction continues with the unfinished shards.

    Args:
        settings: settings of the stage.
        out: the store to write; ``<out>.partial`` holds the shards until the store is complete.
        overwrite: whether an existing store is replaced.
        encode_shards: encodes the unfinished shards, such as
            :func:`recbole_sda.lvlm.ray_extract.ray_shard_encoder`. By default, this process encodes them, or with torchrun
            each process a part of them.

    Returns:
        The path of the store.

    Raises:
        InputError: the store exists, the partial folder is of another plan, or see :class:`Extractor`.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists already; remove it, choose another name, or --overwrite=True")
    join_processes(settings)
    with folder_lock(out) if torchrun.is_main() else nullcontext():
        _extract(settings, out, overwrite, encode_shards)
    return out


def _extract(settings: LVLMSettings, out: Path, overwrite: bool, encode_shards: Optional[ShardEncoder]) -> None:
    extractor: AnyExtractor
    if settings.backend == "transformers":
        extractor = Extractor(settings, weights=encode_shards is None)
    else:
        extractor = BackendExtractor(settings)
    plan, shards = extractor.plan, Shards(out, extractor.plan)
    torchrun.run_on_main_process(shards.open)
    missing: List[Shard] = torchrun.run_on_main_process(shards.missing)
    n_shards = sum(len(p.shards) for p in plan.modalities.values())
    for name, count in plan.counts().items():
        logger.info(
            "%s: %d items, %d distinct inputs, %.1f %% padding",
            name,
            count["items"],
            count["distinct"],
            100 * count["padding"],
        )
    if len(missing) < n_shards:
        logger.info("continuing: %d of %d shards are finished", n_shards - len(missing), n_shards)
    start = time.perf_counter()
    try:
        (encode_shards or _process_shard_encoder(extractor))(plan, shards, missing)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command continues from {shards.folder}") from None
    if torchrun.world_size() > 1:
        distributed.barrier()
    n_encoded = sum(len(s.rows) for s in missing)
    logger.info("encoded %d inputs in %.1f s", n_encoded, time.perf_counter() - start)
    torchrun.run_on_main_process(lambda: _write_store(extractor, shards, out, overwrite))


def _process_shard_encoder(extractor: AnyExtractor) -> ShardEncoder:
    """Return a function that encodes this process's part of the shards."""

    def encode_shards(plan: Plan, shards: Shards, missing: List[Shard]) -> None:
        part = missing[torchrun.rank() :: torchrun.world_size()]
        with Progress(sum(len(s.rows) for s in part), "extract", "inputs", shown=torchrun.is_main()) as bar:

            def done(shard: Shard, vectors: Tensor) -> None:
                shards.write(shard, vectors)
                bar.update(len(shard.rows))

            extractor.encode(part, done)

    return encode_shards


def _write_store(extractor: AnyExtractor, shards: Shards, out: Path, overwrite: bool) -> None:
    settings, ids = extractor.settings, extractor.content.ids
    features, present = {}, {}
    for name, plan in extractor.plan.modalities.items():
        exact = truncate(shards.assemble(name), settings.truncate_dim, bool(settings.l2))
        vectors = exact.to(DTYPES[settings.store_dtype])
        if exact.isfinite().all() and not vectors.isfinite().all():
            largest = float(exact.abs().max())
            raise InputError(
                f"store_dtype=float16: {name} vectors reach {largest:.3g}, above float16's maximum of 65504. The shards are "
                "kept: the same command with --store_dtype=float32 finishes without encoding again"
            )
        features[name] = torch.zeros(len(ids), vectors.shape[1], dtype=vectors.dtype)
        features[name][plan.items] = vectors
        present[name] = torch.zeros(len(ids), dtype=torch.bool)
        present[name][plan.items] = True
    write_store(out, ids, features, present, extractor.provenance(), overwrite)
    shutil.rmtree(shards.folder)
