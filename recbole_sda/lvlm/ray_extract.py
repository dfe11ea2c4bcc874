"""Extraction by Ray actors: each loads the backbone once and takes the next shard when it is free, on any machine."""

from dataclasses import replace
from pathlib import Path
from typing import Callable, List, Optional

import ray
import torch
from ray.exceptions import RayTaskError
from ray.util import ActorPool
from torch import Tensor
from tqdm import tqdm

from recbole_sda.errors import InputError
from recbole_sda.lvlm.extraction import Extractor
from recbole_sda.lvlm.extraction_plan import Plan, Shard
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.shards import Shards
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE


@ray.remote
class _Encoder:
    """A backbone in a process of its own. The machines share the folder of the items and the backbone's."""

    def __init__(self, settings: LVLMSettings, fingerprint: str):
        self.settings, self.fingerprint = settings, fingerprint
        self.extractor: Optional[Extractor] = None

    def encode(self, number: int, shard: Shard):
        if self.extractor is None:  # here, as Ray tells errors of a call and not those of __init__ as what they are
            self.extractor = self._extractor()
        made: List[Tensor] = []
        self.extractor.encode([shard], lambda _, vectors: made.append(vectors))
        return number, made[0].numpy()

    def _extractor(self) -> Extractor:
        made = Extractor(self.settings)
        if made.plan.fingerprint != self.fingerprint:
            raise InputError("an actor sees other items or another backbone than the driver; are the folders shared?")
        return made


def ray_shard_encoder(
    settings: LVLMSettings, actors: int, gpus_per_actor: Optional[float] = None, address: Optional[str] = None
) -> Callable[[Plan, Shards, List[Shard]], None]:
    """Return what makes shards by actors, for :func:`recbole_sda.lvlm.extraction.extract`.

    Args:
        settings: of the stage.
        actors: how many.
        gpus_per_actor: share of a GPU that each asks for; None: one where Ray knows of any.
        address: of a cluster (``auto`` for the one that this machine belongs to); None starts Ray here.
    """
    actors = AT_LEAST_ONE.check("actors", actors, whole=True)
    if gpus_per_actor is not None:
        NOT_NEGATIVE.check("gpus_per_actor", gpus_per_actor)
    paths = {name: getattr(settings, name) for name in ("backbone", "items", "adapter")}
    there = {name: str(Path(path).resolve()) for name, path in paths.items() if path and Path(path).exists()}
    settings = replace(settings, **there)  # an actor starts in another folder

    def encode_shards(plan: Plan, shards: Shards, missing: List[Shard]) -> None:
        if not missing:
            return
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
        gpus = gpus_per_actor if gpus_per_actor is not None else float(ray.cluster_resources().get("GPU", 0) > 0)
        options = {"num_cpus": 1, "num_gpus": gpus}
        try:
            pool = ActorPool(
                [
                    _Encoder.options(**options).remote(settings, plan.fingerprint)
                    for _ in range(min(actors, len(missing)))
                ]
            )
            with tqdm(total=sum(len(shard.rows) for shard in missing), unit="input") as bar:
                work = pool.map_unordered(
                    lambda actor, number: actor.encode.remote(number, missing[number]), range(len(missing))
                )
                for number, vectors in work:
                    shard = missing[number]
                    shards.write(shard, torch.from_numpy(vectors.copy()))
                    bar.update(len(shard.rows))
        except RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from None
            raise
        finally:
            ray.shutdown()

    return encode_shards
