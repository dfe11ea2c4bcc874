"""The one place where Ray is started or joined: on this machine, or on a cluster by its address."""

import logging
import os
import re
import socket
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional

from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)


@contextmanager
def ray_session(address: Optional[str] = None) -> Iterator[None]:
    """Context manager in which this process is connected to Ray.

    A session that the process already has is used and left open at the end. Otherwise a session is opened here and
    closed at the end.

    Args:
        address: of a cluster; ``auto`` for the cluster that this machine belongs to; None for the session that the
            process already has, or else a new one on this machine.

    Raises:
        InputError: no cluster answers at the address, it rejects this process's token, or
            the process already has a session at another address.
    """
    import ray

    if ray.is_initialized():
        _check_same_session(address)
        yield
        return
    _check_reachable(address)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(address=address or "local", log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise InputError(f"address={address!r}: {_why_not_joined(str(error))}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _why_not_joined(reason: str) -> str:
    """Return why a cluster was not joined, from the text of Ray's error, which does not say that a token was rejected."""
    reason = reason.splitlines()[0] if reason else "no reason given"
    found = re.search(r"([\w.\-]+):(\d+)", reason)
    if found is not None:
        try:
            socket.create_connection((found[1], int(found[2])), timeout=2).close()
        except (OSError, OverflowError):
            pass
        else:
            return (
                f"a server answers there, but Ray cannot join it ({reason}). Check the token (RAY_AUTH_MODE=token with "
                "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, as on the cluster) and that both sides have the same version of Ray"
            )
    return f"no Ray cluster answers there ({reason})"


def _check_reachable(address: Optional[str]) -> None:
    """Refuse an address at which no program listens; Ray would try for minutes."""
    if not address or address in ("auto", "local"):
        return
    host, _, port = str(address).removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"address={address!r}: expected auto, or host:port of a Ray cluster")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, UnicodeError) as error:
        raise InputError(f"address={address!r}: no Ray cluster answers there ({error})") from None


def _check_same_session(address: Optional[str]) -> None:
    """Refuse an address that is not the one of the session that this process already has."""
    import ray

    if not address or address == "auto":
        return
    current = ray.get_runtime_context().gcs_address
    if address != current:
        raise InputError(
            f"address={address!r}: this process already has a Ray session at {current!r}; "
            "leave the address out to use it, or call ray.shutdown() first"
        )


def check_gpu_share(gpus: float) -> None:
    """Check the share of a GPU that each run asks for against the GPUs of the Ray session.

    A share of 0 on a cluster with GPUs is a warning, since they are not used.

    Raises:
        InputError: Ray sees fewer GPUs than the share; it would wait for them for ever.
    """
    import ray

    n_gpus = ray.cluster_resources().get("GPU", 0)
    if gpus > n_gpus:
        raise InputError(f"gpus={gpus:g}: Ray sees {n_gpus:g} GPUs; give gpus=0 to run on CPUs")
    if n_gpus and not gpus:
        logger.warning(
            "gpus=0: all runs use CPUs, although Ray sees %g GPUs; gpus=0.5 gives each run half of one", n_gpus
        )


def worker_device_keys(gpus: float) -> Dict[str, Any]:
    """Return the configuration keys of the device for a run in a Ray worker.

    A worker with a share of a GPU sees that GPU alone, as number 0.
    """
    return {"gpu_id": "0", "use_gpu": True} if gpus else {"use_gpu": False}
