"""Which modality the present pass of a model is of: what MoDA's gates look at."""

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Iterator, Optional, Union

from torch import Tensor

Modality = Union[int, Tensor]
_current: ContextVar[Optional[Modality]] = ContextVar("modality", default=None)


@contextmanager
def modality(m: Modality) -> Iterator[None]:
    """Inside, passes are of modality ``m``: a number for the whole pass, or (batch,) int64, one per sample."""
    token = _current.set(m)
    try:
        yield
    finally:
        _current.reset(token)


def current_modality() -> Modality:
    """Return the modality of the present pass.

    Raises:
        RuntimeError: none is set: a forgotten modality would train the wrong gates without a word.
    """
    found = _current.get()
    if found is None:
        raise RuntimeError("a MoDA layer needs to know the modality: run the pass inside `with modality(m):`")
    return found
