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


def check_gpu_share(gpus: float) -> None:
    """Refuse a share of a GPU where Ray knows of none: its tasks would wait for ever. Say when GPUs are left idle."""
    import ray

    there = ray.cluster_resources().get("GPU", 0)
    if gpus > there:
        raise InputError(f"gpus={gpus:g}: Ray sees {there:g} GPUs; give gpus=0 to run on CPUs")
    if there and not gpus:
        logger.warning(
            "gpus=0: all runs are on CPUs; Ray sees %g GPUs, of which each run takes a share with gpus=0.5", there
        )


def on_this_worker(gpus: float) -> Dict[str, Any]:
    """Return the keys of the device for a process that Ray started, which sees the GPU that Ray gave it as the first one."""
    return {"gpu_id": "0", "use_gpu": True} if gpus else {"use_gpu": False}
