"""A cache of tensors in files whose names hold everything that the tensors depend on."""

import logging
from pathlib import Path
from typing import Callable, Dict, Optional

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.io.content_hash import content_hash
from recbole_sda.io.tensors import open_tensors, tensor_of

logger = logging.getLogger(__name__)

HASH = "content_hash"  # of the tensors, in the header


def load_or_compute(
    path: Path, make: Callable[[], Dict[str, Tensor]], metadata: Optional[Dict[str, str]] = None
) -> Dict[str, Tensor]:
    """Return the tensors in ``path``, or compute them and write them there atomically.

    The file's header has a hash of the tensors. A damaged or changed file is computed again. A file that cannot be written costs
    only the time of the next run. Both cases are logged as warnings.

    Args:
        path: a safetensors file. Its name holds everything that the tensors depend on.
        make: computes the tensors by name.
        metadata: texts that are written into the file's header.
    """
    if path.exists():
        try:
            return _read(path)
        except (InputError, SafetensorError, OSError) as error:
            logger.warning("%s cannot be used and is computed again (%s)", path, error)
    tensors = {name: tensor.contiguous() for name, tensor in sorted(make().items())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            save_file(tensors, draft, metadata={**(metadata or {}), HASH: content_hash(tensors)})
    except (SafetensorError, OSError) as error:
        logger.warning("%s could not be written; the next run computes it again: %s", path, error)
    return tensors


def _read(path: Path) -> Dict[str, Tensor]:
    file = open_tensors(path)
    tensors = {name: tensor_of(file, name, path) for name in sorted(file.keys())}
    if (file.metadata() or {}).get(HASH) != content_hash(tensors):
        raise InputError(f"{path} is changed, or an earlier version wrote it: its tensors are not those of its hash")
    return tensors
