"""A cache of tensors in files whose names hold everything that the tensors depend on."""

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
    """Return the tensors in ``path``, or compute them and write them there atomically.

    A damaged file is computed again. A file that cannot be written costs only the time of the next run. Both cases are logged as
    warnings.

    Args:
        path: a safetensors file. Its name holds everything that the tensors depend on.
        make: computes the tensors by name.
        metadata: texts that are written into the file's header.
    """
    if path.is_file():
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            logger.warning("%s cannot be read and is computed again (%s)", path, error)
    tensors = {name: tensor.contiguous() for name, tensor in make().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            save_file(tensors, draft, metadata=metadata)
    except (SafetensorError, OSError) as error:
        logger.warning("%s could not be written; the next run computes it again: %s", path, error)
    return tensors
