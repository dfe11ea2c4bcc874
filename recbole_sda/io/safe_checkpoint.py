"""A checkpoint of plain data as two files without any pickle: its tensors in safetensors, all else in JSON.

Nested data become JSON as they are, with marks for what JSON lacks: ``{"tensor": name}``, ``{"dict": [[key, value], ...]}``, and
``{"float": "nan"}`` for numbers that are not finite.
"""

import json
import math
from pathlib import Path
from typing import Any, Dict, Tuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write, write_text
from recbole_sda.io.content_hash import content_hash
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import COUNT, check_shape
from recbole_sda.io.tensors import read_tensors

FORMAT = 1
SHAPE = {"format": COUNT, "content_hash": str, "state": {"dict": [list]}}


def write_safe_checkpoint(state: Dict[str, Any], tensors: Path, rest: Path) -> None:
    """Write a checkpoint, as :func:`recbole_sda.io.checkpoint.load_checkpoint` returns it, to two files.

    Raises:
        InputError: it holds a sparse tensor, or something else that is no plain data.
    """
    named: Dict[str, Tensor] = {}
    encoded = _encode(state, "", named)
    content = {"format": FORMAT, "content_hash": content_hash(state), "state": encoded}
    with atomic_write(tensors) as draft:
        save_file(named, draft)
    write_text(rest, json.dumps(content, allow_nan=False) + "\n")


def read_safe_checkpoint(tensors: Path, rest: Path) -> Dict[str, Any]:
    """Return the checkpoint that :func:`write_safe_checkpoint` wrote.

    Raises:
        InputError: a file is missing or damaged, has another form, or the values are not those that were written.
    """
    content = check_shape(read_json(rest), SHAPE, str(rest))
    if content["format"] != FORMAT:
        raise InputError(f"{rest} has format {content['format']}; this version reads {FORMAT}")
    state: Dict[str, Any] = _decode(content["state"], read_tensors(tensors), rest)
    if content_hash(state) != content["content_hash"]:
        raise InputError(f"{rest}: its values, or those of {tensors.name}, are not the ones that were written")
    return state


def _encode(value: Any, path: str, named: Dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise InputError(f"the checkpoint holds a sparse tensor ({path}), which safetensors cannot")
        named[path] = value.detach().cpu().contiguous().clone()  # no two names share memory
        return {"tensor": path}
    if isinstance(value, dict):
        return {"dict": [[_key(key, path), _encode(v, f"{path}/{key}", named)] for key, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_encode(v, f"{path}/{k}", named) for k, v in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(f"the checkpoint holds a {type(value).__name__} ({path}), which is no plain data")


def _key(key: Any, path: str) -> Any:
    if not isinstance(key, (str, int)):
        raise InputError(f"the checkpoint holds a key of the type {type(key).__name__} ({path}); expected texts")
    return key


def _decode(value: Any, tensors: Dict[str, Tensor], rest: Path) -> Any:
    if isinstance(value, list):
        return [_decode(part, tensors, rest) for part in value]
    if not isinstance(value, dict):
        return value
    mark, content = _mark(value, rest)
    if mark == "dict":
        return {key: _decode(part, tensors, rest) for key, part in content}
    if mark == "float":
        return float(content)
    if content not in tensors:
        raise InputError(f"{rest} names a tensor {str(content)[:80]!r} that its safetensors file lacks")
    return tensors[content]


def _mark(value: Dict[str, Any], rest: Path) -> Tuple[str, Any]:
    """Return the one mark of an encoded value with its content, checked."""
    ((mark, content),) = value.items() if len(value) == 1 else [("", None)]
    pairs = isinstance(content, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], (str, int)) for pair in content
    )
    fits = {"dict": pairs, "float": content in ("nan", "inf", "-inf"), "tensor": isinstance(content, str)}
    if not fits.get(mark, False):
        raise InputError(f"{rest}: {str(value)[:80]}: expected a dict, float or tensor in the form of a checkpoint")
    return mark, content
