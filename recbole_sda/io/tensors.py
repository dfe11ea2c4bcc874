"""Tensors and arrays from files: safetensors and npy, each error as one line that names the file."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.regular_file import PathLike, regular_file


def open_tensors(path: PathLike) -> Any:
    """Return an open safetensors file, whose tensors are memory-mapped when they are asked for.

    Raises:
        InputError: the file is missing, is no regular file, or is no safetensors file.
    """
    with _named(path):
        return safe_open(str(regular_file(path)), framework="pt")


def read_tensors(path: PathLike) -> Dict[str, Tensor]:
    """Return all tensors of a safetensors file; errors as :func:`open_tensors`."""
    with _named(path):
        return load_file(regular_file(path))


def tensor_of(file: Any, name: str, path: PathLike) -> Tensor:
    """Return a tensor of an open file.

    Raises:
        InputError: the file has no such tensor, or it is cut off.
    """
    try:
        tensor: Tensor = file.get_tensor(name)
        return tensor
    except Exception as error:  # safetensors' own error, or one of torch for a type that it does not know
        raise InputError(f"{path} has no tensor {name!r} ({one_line(error)})") from None


def read_array(path: PathLike, what: str = "array", limit: Optional[int] = None) -> np.ndarray:
    """Return the array of a ``.npy`` file, as numpy.save writes it. Pickled objects are never loaded.

    Raises:
        InputError: the file is missing, is no regular file, or holds anything but one array of numbers or truth values.
    """
    path = regular_file(path, what, limit)
    try:
        array = np.load(path, allow_pickle=False)
    except MemoryError:
        raise InputError(f"{path}: its header asks for more memory than there is") from None
    except Exception:  # numpy parses the header as Python, with errors of any kind
        raise InputError(f"{path} is not a plain .npy array of numbers, as numpy.save writes it") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path} is an archive of arrays (.npz); expected one array, as numpy.save writes it (.npy)")
    if array.ndim == 0:
        raise InputError(f"{path} holds a single value, not an array")
    return array


@contextmanager
def _named(path: PathLike) -> Iterator[None]:
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # safetensors raises its own error, OSError, and torch's for types that it does not know
        raise InputError(f"{Path(path)} is damaged, or no safetensors file ({one_line(error)})") from None
