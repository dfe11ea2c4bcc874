"""Values of attributes: a digest that shows whether one changed, a form that a checkpoint of plain data can hold, and back."""

import hashlib
import random
from collections import deque
from typing import Any, Dict

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

LARGE = 2**26  # bytes of a tensor from which its version counter is compared, not its content
NUMBERS = (bool, int, float, complex, str, bytes, type(None))
_KIND, _VALUE = "__kind__", "value"  # of a stored value whose type plain data do not have
_SEQUENCES = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}


def digest(value: Any) -> bytes:
    """Return bytes that differ where the content of a value differs.

    They are comparable inside one process. A value of a type that :func:`stored` does not know gives the name of its type.

    Example:
        >>> digest([1, torch.zeros(2)]) == digest([1, torch.zeros(2)])
        True
        >>> digest([1, torch.zeros(2)]) == digest([1, torch.ones(2)])
        False
    """
    hasher = hashlib.blake2b(digest_size=16)
    _update(hasher, value)
    return hasher.digest()


def _update(hasher: Any, value: Any) -> None:
    hasher.update(type(value).__name__.encode())
    if isinstance(value, Tensor):
        _update_by_tensor(hasher, value.detach())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        hasher.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, (*NUMBERS, np.generic)):
        hasher.update(repr(value).encode())
    elif isinstance(value, dict):
        for key, part in value.items():
            _update(hasher, key)
            _update(hasher, part)
    elif isinstance(value, (set, frozenset)):
        hasher.update(b"".join(sorted(map(digest, value))))
    elif isinstance(value, (list, tuple, deque, np.ndarray)):
        if all(type(part) in NUMBERS for part in value):
            hasher.update(repr(list(value)).encode())
        else:
            for part in value:
                _update(hasher, part)
    elif sp.issparse(value):
        for part in (value.tocsr().data, value.tocsr().indices, value.tocsr().indptr):
            _update(hasher, part)
    elif isinstance(value, _GENERATORS):
        _update(hasher, _state_of(value))


def _update_by_tensor(hasher: Any, value: Tensor) -> None:
    if value.layout != torch.strided:
        parts = value.to_sparse_coo().coalesce()
        _update(hasher, parts.indices())
        _update(hasher, parts.values())
        return
    hasher.update(f"{value.dtype}{tuple(value.shape)}".encode())
    if value.nbytes > LARGE:
        hasher.update(f"{value.data_ptr()} {value._version}".encode())
    else:
        flat = value.cpu().contiguous().reshape(-1)
        hasher.update(flat.view(torch.uint8).numpy().tobytes())


_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)


def _state_of(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state()


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state.cpu() if isinstance(state, Tensor) else state)


def stored(value: Any) -> Any:
    """Return a value as data that :func:`recbole_sda.io.checkpoint.save_checkpoint` can write.

    Raises:
        TypeError: a checkpoint cannot hold it.
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, (*NUMBERS, np.generic)) and not isinstance(value, (bytes, complex)):
        return value
    if sp.issparse(value) or (isinstance(value, np.ndarray) and value.dtype != object):
        return value.copy()
    if isinstance(value, np.ndarray):
        return {_KIND: "objects", "shape": list(value.shape), _VALUE: [stored(part) for part in value.ravel()]}
    if type(value) is dict:
        pairs = [[stored(key), stored(part)] for key, part in value.items()]
        return {_KIND: "dict", _VALUE: pairs}
    if type(value) is list:
        return [stored(part) for part in value]
    if type(value).__name__ in _SEQUENCES and type(value) is _SEQUENCES[type(value).__name__]:
        return {_KIND: type(value).__name__, _VALUE: [stored(part) for part in value]}
    if isinstance(value, _GENERATORS):
        return {_KIND: "generator", _VALUE: stored(_state_of(value))}
    raise TypeError(f"it holds a {type(value).__name__}, which a checkpoint cannot hold")


def restored(current: Any, value: Any) -> Any:
    """Undo :func:`stored`: return the value, as ``current`` itself where that can be changed in place."""
    kind = value.get(_KIND) if isinstance(value, dict) else None
    if kind == "generator":
        if current is not None:
            _set_state(current, restored(None, value[_VALUE]))
        return current
    new = _decoded(kind, value)
    if isinstance(current, Tensor) and isinstance(new, Tensor):
        if current.layout == new.layout == torch.strided and current.shape == new.shape and not current.requires_grad:
            return current.copy_(new)
        return new.to(current.device)
    if isinstance(current, np.ndarray) and isinstance(new, np.ndarray) and current.shape == new.shape:
        current[...] = new
        return current
    if type(current) is list and type(new) is list:
        current[:] = new
        return current
    if type(current) is dict and type(new) is dict:
        current.clear()
        current.update(new)
        return current
    return new


def _decoded(kind: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [restored(None, part) for part in value]
    if kind is None:
        return value
    parts: Any = value[_VALUE]
    if kind == "dict":
        found: Dict[Any, Any] = {restored(None, key): restored(None, part) for key, part in parts}
        return found
    decoded = [restored(None, part) for part in parts]
    if kind == "objects":
        array = np.empty(len(decoded), dtype=object)
        array[:] = decoded
        return array.reshape(value["shape"])
    return _SEQUENCES[kind](decoded)
