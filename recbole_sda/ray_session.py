"""Ray for many experiments: on this machine, or on a cluster by its address."""

import logging
import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional

from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)


@contextmanager
def ray_session(address: Optional[str] = None) -> Iterator[None]:
    """Inside, Ray runs: the cluster at ``address`` (``auto``: the one that this machine belongs to), or one made here.

    Raises:
        InputError: there is no cluster at the address.
    """
    import ray

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(address=address or "local", log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"address={address!r}: no Ray cluster answers there ({reason})") from None
    try:
        yield
    finally:
        ray.shutdown()


def check_room(gpus: float) -> None:
    """Refuse a share of a GPU where Ray knows of none: its tasks would wait for ever."""
    import ray

    there = ray.cluster_resources().get("GPU", 0)
    if gpus > there:
        raise InputError(f"gpus={gpus:g}: Ray sees {there:g} GPUs; give gpus=0 to run on CPUs")


def on_this_worker(keys: Dict[str, Any]) -> Dict[str, Any]:
    """Return keys for a process that Ray started: RecBole would make every one of them take the first GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return keys if not visible or "gpu_id" in keys else {**keys, "gpu_id": visible}
