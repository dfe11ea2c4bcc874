"""The modality of the current forward pass, which MoDA's gates read."""

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Iterator, Optional, Union

from torch import Tensor

Modality = Union[int, Tensor]
_current: ContextVar[Optional[Modality]] = ContextVar("modality", default=None)


@contextmanager
def modality(m: Modality) -> Iterator[None]:
    """Context manager in which forward passes are of modality ``m``.

    Args:
        m: number of the modality for the whole pass, or one number per sample, (batch,) int64.

    Example:
        >>> with modality(1):
        ...     current_modality()
        1
    """
    token = _current.set(m)
    try:
        yield
    finally:
        _current.reset(token)


def current_modality() -> Modality:
    """Return the modality of the current forward pass.

    Raises:
        RuntimeError: no modality is set; a default would silently train the wrong gates.
    """
    current = _current.get()
    if current is None:
        raise RuntimeError("a MoDA layer needs to know the modality: run the pass inside `with modality(m):`")
    return current
