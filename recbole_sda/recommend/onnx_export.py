"""The sequence encoder of a run as an ONNX model beside its matrix of items: recommendations without this package and torch."""

import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from recbole_sda.errors import InputError, plain_message
from recbole_sda.recommend.item_index import ItemIndex, SequenceEncoder

ENCODER = "encoder.onnx"
INPUTS, OUTPUT = ("item_ids", "lengths"), "query"
TOLERANCE = 1e-5  # of the query vectors, relative to their largest value where that is above 1
CHECKED = (1, 2, 61)  # sizes of the batches on which ONNX Runtime's query vectors are compared with torch's
LARGEST = 2**31 - 2**20  # bytes: a file of ONNX has less than 2 GiB


def write_onnx(index: ItemIndex, folder: Union[str, Path], users: Optional[Sequence[str]] = None) -> None:
    """Write a run of a sequential model as ``encoder.onnx`` and the files of :meth:`ItemIndex.write`.

    The encoder has the inputs ``item_ids`` (batch, max_length), int64, and ``lengths`` (batch,), int64, and the output ``query``
    (batch, dim), float32, as :class:`~recbole_sda.recommend.item_index.SequenceEncoder`; the batch may have any size. Temperature,
    cosine and bias of the items are part of it: ``query @ items.T`` are the scores of the run. ONNX Runtime's query vectors are
    compared with torch's before anything is written.

    Args:
        index: the run.
        folder: see :meth:`ItemIndex.write`.
        users: external ids of users whose query vectors are written too, or None.

    Raises:
        InputError: a package is missing, the model has no encoder of sequences, or it cannot be converted.
    """
    onnx = onnx_packages()
    encoder, name = index.encoder().eval(), index.name
    size = sum(parameter.numel() * parameter.element_size() for parameter in encoder.parameters())
    if size > LARGEST:
        raise InputError(
            f"{name}: the encoder has {size / 2**30:.1f} GiB with its item table, and a file of ONNX has less than 2 GiB; "
            "--form=index has no such limit"
        )
    content = _converted(encoder, len(index.item_ids), name)
    difference = _largest_difference(content, encoder, len(index.item_ids), name)
    index.write(
        folder,
        users,
        {
            "file": ENCODER,
            "inputs": {INPUTS[0]: ["batch", encoder.max_length], INPUTS[1]: ["batch"]},
            "output": {OUTPUT: ["batch", index.items.shape[1]]},
            "max_length": encoder.max_length,
            "largest_difference": difference,
            "torch": torch.__version__,
            "onnx": onnx.__version__,
        },
        files={ENCODER: content},
    )


def onnx_packages() -> Any:
    """Return the module onnx; an InputError names the extra where one of its packages is missing."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f"--form=onnx needs {error.name}: pip install -e '.[onnx]'") from None
    return onnx


def _sequences(n: int, n_items: int, max_length: int, seed: int = 0) -> Tuple[Tensor, Tensor]:
    """Return n random sequences, (n, max_length), and their lengths, (n,); the first has one item, the last all positions."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, max_length + 1, size=n)
    lengths[0], lengths[-1] = 1, max_length
    items = draw.integers(1, n_items + 1, size=(n, max_length)) * (np.arange(max_length) < lengths[:, None])
    return torch.from_numpy(items), torch.from_numpy(lengths)


def _converted(encoder: SequenceEncoder, n_items: int, name: str) -> bytes:
    """Return the encoder as the content of a file of ONNX."""
    example = tuple(tensor.to(encoder.device) for tensor in _sequences(2, n_items, encoder.max_length))
    batch = {0: torch.export.Dim("batch")}
    try:
        with torch.no_grad(), _quiet():
            program: Any = torch.onnx.export(
                encoder,
                example,
                input_names=INPUTS,
                output_names=(OUTPUT,),
                dynamic_shapes=(batch, batch),
                dynamo=True,
                verbose=False,
            )
        content: bytes = program.model_proto.SerializeToString()
    except Exception as error:  # of the exporter's own kinds, which torch does not document
        reason = plain_message(error.__cause__ or error)
        raise InputError(
            f"{name}: {type(encoder.model).__name__} cannot be converted to ONNX ({reason}); --form=index writes its items and "
            "query vectors"
        ) from error
    return content


def _largest_difference(content: bytes, encoder: SequenceEncoder, n_items: int, name: str) -> float:
    """Return the largest difference of ONNX Runtime's query vectors from torch's; one above the tolerance is an InputError."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    largest = 0.0
    for n in CHECKED:
        items, lengths = _sequences(n, n_items, encoder.max_length, seed=n)
        with torch.no_grad():
            expected = encoder(items.to(encoder.device), lengths.to(encoder.device)).cpu().numpy()
        (found,) = session.run([OUTPUT], dict(zip(INPUTS, (items.numpy(), lengths.numpy()))))
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise InputError(
                f"{name}: the encoder of {type(encoder.model).__name__} differs from torch's by {difference:.1e} in ONNX Runtime; "
                "--form=index writes its items and query vectors"
            )
        largest = max(largest, difference)
    return largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Context manager without the exporter's messages about its own steps and versions."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for each in loggers:
                each.setLevel(logging.ERROR)
            yield
        finally:
            for each, level in zip(loggers, levels):
                each.setLevel(level)
