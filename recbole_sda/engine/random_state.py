"""State of the random streams that training draws from, for checkpoints from which a run continues exactly."""

import random
from typing import Any, Dict, List

import numpy as np
import torch


def rng_state() -> Dict[str, Any]:
    """Return the state of Python's, numpy's and torch's global random streams, with those of all GPUs."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng(state: Dict[str, Any]) -> None:
    """Set the global random streams to a state from :func:`rng_state`, also after a checkpoint turned its tuples into lists.

    States of GPUs that this machine does not have are ignored.
    """
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.asarray(keys), *rest))
    torch.set_rng_state(state["torch"])
    for number, gpu_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(gpu_state, number)


def generators(train_data: Any) -> List[torch.Generator]:
    """Return the generators that order the batches of a training dataloader. RecBole's loader of knowledge graphs has two."""
    parts = [getattr(train_data, name, None) for name in ("general_dataloader", "kg_dataloader")]
    return [part.generator for part in parts if part is not None] or [train_data.generator]
