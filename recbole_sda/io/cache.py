"""Tensors that are kept in a file named after all that they depend on."""

import logging
from pathlib import Path
from typing import Callable, Dict, Optional

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recbole_sda.io.atomic_write import atomic_write

logger = logging.getLogger(__name__)


def load_or_compute(
    path: Path, make: Callable[[], Dict[str, Tensor]], metadata: Optional[Dict[str, str]] = None
) -> Dict[str, Tensor]:
    """Return the tensors of ``path``, or make them and write them there.

    A damaged file is made again, and a file that cannot be written costs only the time of the next run; both are said at
    warning level. Writing is atomic.

    Args:
        path: a safetensors file, whose name holds what the tensors depend on.
        make: returns the tensors by name.
        metadata: what is written beside them.
    """
    if path.is_file():
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            logger.warning("%s cannot be read and is made again (%s)", path, error)
    tensors = {name: tensor.contiguous() for name, tensor in make().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            save_file(tensors, draft, metadata=metadata)
    except (SafetensorError, OSError) as error:
        logger.warning("%s is not written, and made again by the next run: %s", path, error)
    return tensors
