"""A trace of a computation on torch's ``meta`` device: memory and floating-point operations, without any computing."""

import weakref
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten
META, CPU = torch.device("meta"), torch.device("cpu")
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
ATTENTION = (
    aten._scaled_dot_product_flash_attention_for_cpu.default,
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default,
)


class MetaTrace(TorchDispatchMode):
    """Counts what the operations of a block of code would allocate and compute.

    The weights of a model are on the ``meta`` device and have shapes only. Token ids, masks and images are on the CPU and keep
    their values as long as they meet no meta tensor, so that code whose shapes depend on them runs.
    Memory is that of the storages that the operations create, from their creation until the last tensor that uses them is gone, as
    on a real device. What existed before, such as the weights, is not counted.

    Args:
        known: tensors whose storages are not counted, such as weights: views of them are none of new memory.

    Attributes:
        live: bytes that are allocated now.
        peak: largest value of ``live`` so far.
        flops: floating-point operations of matrix products, convolutions and attention; a multiplication and an addition are two.

    Example:
        >>> weight = torch.empty(4, 8, device="meta", requires_grad=True)
        >>> with MetaTrace([weight]) as trace:
        ...     y = torch.ones(2, 8) @ weight.T
        >>> trace.live - 2 * 8 * 4, trace.flops  # 2 x 4 values of 4 bytes beside the ones
        (32, 128)
    """

    def __init__(self, known: Sequence[Tensor] = ()):
        super().__init__()
        self.live = self.peak = self.flops = 0
        self._storages = {id(tensor.untyped_storage()): tensor.untyped_storage() for tensor in known}
        self._counted: Dict[int, int] = {}

    def reset_peak(self) -> None:
        """Start a new peak from what is allocated now."""
        self.peak = self.live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Optional[Dict[str, Any]] = None) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        if any(tensor.is_meta for tensor in _tensors((args, kwargs))):
            if func in INDEXED:
                args = (args[0], _positions(args[1]), *args[2:])
            args, kwargs = _on_meta(tuple(args)), {name: _on_meta(value) for name, value in kwargs.items()}
            if device is not None:
                kwargs["device"] = META
        elif device is not None and torch.device(device).type == "meta" and _stays_real(args, kwargs):
            kwargs["device"] = CPU
        out = func(*args, **kwargs)
        self.flops += _flops(func, args, kwargs, out)
        for tensor in _tensors(out):
            self._count(tensor)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._storages or key in self._counted:
            return
        self._counted[key] = storage.nbytes()
        self.live += self._counted[key]
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key).atexit = False

    def _free(self, key: int) -> None:
        self.live -= self._counted.pop(key)


def _tensors(value: Any) -> List[Tensor]:
    """Return the tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return []
    return [tensor for part in value for tensor in _tensors(part)]


def _on_meta(value: Any) -> Any:
    """Return the value with its tensors replaced by meta tensors."""
    if isinstance(value, Tensor):
        return (
            value if value.is_meta else torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
        )
    if isinstance(value, (list, tuple)):
        return type(value)(map(_on_meta, value))
    return value


def _positions(indices: Sequence[Optional[Tensor]]) -> List[Optional[Tensor]]:
    """Return indices in which masks with values are replaced by the positions that they select."""
    chosen: List[Optional[Tensor]] = []
    for index in indices:
        is_mask = index is not None and index.dtype == torch.bool and not index.is_meta
        chosen += list(index.nonzero(as_tuple=True)) if is_mask and index is not None else [index]
    return chosen


def _stays_real(args: Any, kwargs: Dict[str, Any]) -> bool:
    """Return whether a tensor for the meta device keeps its values: a copy of a real tensor, or new whole numbers and masks."""
    dtype = kwargs.get("dtype")
    return bool(_tensors(args)) or dtype is None or not dtype.is_floating_point


def _flops(func: Any, args: Any, kwargs: Dict[str, Any], out: Any) -> int:
    if func is ATTENTION[0]:
        return sdpa_flop_count(*(tensor.shape for tensor in args[:3]))
    if func is ATTENTION[1]:
        return sdpa_backward_flop_count(*(tensor.shape for tensor in args[:4]))
    formula: Optional[Callable] = flop_registry.get(func._overloadpacket)
    return 0 if formula is None else formula(*args, **kwargs, out_val=out)


@contextmanager
def fused_attention() -> Iterator[None]:
    """Context manager in which attention on the meta device saves what a fused kernel saves, without the matrix of all scores.

    torch has no such kernel for the meta device and would use the unfused form there.
    """
    unfused = F.scaled_dot_product_attention

    def attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Optional[Tensor] = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: Optional[float] = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if not query.is_meta:
            return unfused(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        if enable_gqa and key.shape[1] != query.shape[1]:
            key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.empty(attn_mask.shape, dtype=query.dtype, device=META)
        result: Tuple[Tensor, Tensor] = ATTENTION[0](
            query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
        )
        return result[0]

    F.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention = unfused
