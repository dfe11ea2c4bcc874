"""A hash of plain data with tensors: it finds a value that was changed after the data were written."""

import hashlib
from typing import Any

import torch
from torch import Tensor


def content_hash(value: Any) -> str:
    """Return a BLAKE2 hash, in hexadecimal digits, of nested dicts and lists of tensors, numbers, texts, truth values and None.

    Example:
        >>> content_hash({"step": 1, "weights": torch.ones(2)}) == content_hash({"step": 1, "weights": torch.zeros(2)})
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, dict):
        digest.update(f"dict {len(value)}\n".encode())
        for key, part in value.items():
            digest.update(f"{key!r}\n".encode())
            _add(digest, part)
    elif isinstance(value, (list, tuple)):
        digest.update(f"list {len(value)}\n".encode())
        for part in value:
            _add(digest, part)
    elif isinstance(value, Tensor):
        _add_tensor(digest, value.detach())
    else:
        digest.update(f"{value!r}\n".encode("utf-8", "surrogatepass"))


def _add_tensor(digest: Any, tensor: Tensor) -> None:
    digest.update(f"{tensor.dtype} {tuple(tensor.shape)} {tensor.layout}\n".encode())
    if tensor.layout == torch.sparse_coo:
        parts = [tensor._indices(), tensor._values()]
    elif tensor.layout != torch.strided:
        parts = [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    else:
        parts = [tensor]
    for part in parts:
        part = torch.view_as_real(part.resolve_conj()) if part.is_complex() else part
        digest.update(part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
