"""Weights of a backbone: loaded completely or not at all, and their fingerprint."""

import hashlib
from pathlib import Path
from typing import Any, Collection, Dict, List, Tuple

from recbole_sda.errors import InputError

SAMPLE_BYTES, N_SAMPLES = 1 << 16, 16  # of each weight file that sampled_sha256 reads
NAMED = 3  # tensors that a message names


def load_model(auto: Any, source: str, arguments: Dict[str, Any], unused: Tuple[str, ...]) -> Any:
    """Return a model of transformers whose weights all come from its files.

    transformers initialises weights at random that the files lack or hold in another shape. Vectors of such a model are noise.

    Args:
        auto: class of transformers whose ``from_pretrained`` loads the model.
        source: folder or hub id.
        arguments: of ``from_pretrained``.
        unused: beginnings of the names of weights that no vector depends on, and which the files may lack. The output layer of a
            language model is always one of them.

    Raises:
        InputError: a tensor is missing in the files or has another shape.
    """
    model, report = auto.from_pretrained(source, output_loading_info=True, ignore_mismatched_sizes=True, **arguments)
    head = model.get_output_embeddings()
    unused += tuple(f"{name}." for name, module in model.named_modules() if module is head)
    missing = [name for name in sorted(report["missing_keys"]) if not name.startswith(unused)]
    if missing:
        total = sum(1 for _ in model.state_dict())
        raise InputError(f"backbone={source}: its files lack {len(missing)} of {total} tensors: {_some(missing)}")
    other = [
        f"{name} {tuple(found)} instead of {tuple(expected)}"
        for name, found, expected in sorted(report["mismatched_keys"], key=lambda entry: entry[0])
        if not name.startswith(unused)
    ]
    if other:
        raise InputError(f"backbone={source}: {len(other)} tensors of its files have another shape: {_some(other)}")
    return model


def _some(names: Collection[str]) -> str:
    shown: List[str] = list(names)[:NAMED]
    return ", ".join(shown) + ", ..." * (len(names) > NAMED)


def sampled_sha256(folder: Path) -> str:
    """Return a SHA-256 over the names, sizes and 16 samples of 64 KiB of each weight file in a folder."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with open(path, "rb") as file:
            for k in range(N_SAMPLES):
                file.seek(k * max(size - SAMPLE_BYTES, 0) // (N_SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
