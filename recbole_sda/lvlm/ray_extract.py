"""Extraction by Ray actors: each loads the backbone once and encodes one shard after another, on any machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import ray
import torch
from ray.exceptions import RayTaskError
from ray.util import ActorPool
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.progress import Progress
from recbole_sda.lvlm.extraction import Extractor, ShardEncoder
from recbole_sda.lvlm.extraction_plan import Plan, Shard
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.shards import Shards
from recbole_sda.machine.ray_session import ray_session
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE


class _Encoder:
    """A backbone in an actor's process. All machines must share the folders of the items and of the backbone."""

    def __init__(self, settings: LVLMSettings, fingerprint: str):
        self.settings, self.fingerprint = settings, fingerprint
        self.extractor: Optional[Extractor] = None

    def encode(self, number: int, shard: Shard) -> Tuple[int, np.ndarray]:
        """Return the shard's number, and the vectors of its rows, (n_rows, dim), float32."""
        if (
            self.extractor is None
        ):  # not in __init__: Ray reports the original error of a call, but not that of __init__
            self.extractor = self._load()
        encoded: List[Tensor] = []
        self.extractor.encode([shard], lambda _, vectors: encoded.append(vectors))
        return number, encoded[0].numpy()

    def _load(self) -> Extractor:
        extractor = Extractor(self.settings)
        if extractor.plan.fingerprint != self.fingerprint:
            raise InputError("an actor reads other items or another backbone than the driver; are the folders shared?")
        return extractor


def ray_shard_encoder(
    settings: LVLMSettings, actors: int, gpus_per_actor: Optional[float] = None, address: Optional[str] = None
) -> ShardEncoder:
    """Return a function that encodes shards by Ray actors, for :func:`recbole_sda.lvlm.extraction.run_extraction`.

    Args:
        settings: settings of the stage.
        actors: number of actors, >= 1.
        gpus_per_actor: share of a GPU per actor, >= 0; None: one GPU if Ray has any, otherwise none.
        address: address of a cluster; see :func:`recbole_sda.machine.ray_session.ray_session`.

    Raises:
        InputError: ``actors`` or ``gpus_per_actor`` is out of range, or another backend than transformers encodes.
    """
    actors = AT_LEAST_ONE.check("actors", actors, whole=True)
    if settings.backend != "transformers":
        raise InputError(f"actors={actors} needs backend=transformers, not {settings.backend}")
    if gpus_per_actor is not None:
        gpus_per_actor = NOT_NEGATIVE.check("gpus_per_actor", gpus_per_actor)
    paths = {name: getattr(settings, name) for name in ("backbone", "items", "adapter")}
    absolute: Dict[str, Any] = {
        name: str(Path(path).resolve()) for name, path in paths.items() if path and Path(path).exists()
    }
    settings = replace(settings, **absolute)  # the working directory of an actor is another one

    def encode_shards(plan: Plan, shards: Shards, missing: List[Shard]) -> None:
        if not missing:
            return
        with ray_session(address), Progress(sum(len(s.rows) for s in missing), "extract", "inputs") as bar:
            gpus = gpus_per_actor if gpus_per_actor is not None else float(ray.cluster_resources().get("GPU", 0) > 0)
            encoder: Any = ray.remote(num_cpus=1, num_gpus=gpus)(_Encoder)
            handles = [encoder.remote(settings, plan.fingerprint) for _ in range(min(actors, len(missing)))]
            results = ActorPool(handles).map_unordered(
                lambda actor, number: actor.encode.remote(number, missing[number]), list(range(len(missing)))
            )
            try:
                for number, vectors in results:
                    shards.write(missing[number], torch.from_numpy(vectors.copy()))
                    bar.update(len(missing[number].rows))
            except RayTaskError as error:
                if isinstance(error.cause, InputError):
                    raise error.cause from None
                raise
            finally:
                for handle in handles:  # in a session of the caller's, they would keep their memory
                    ray.kill(handle)

    return encode_shards
