"""The Dense layers that some embedding models have after pooling."""

from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import torch
from torch import nn

from recbole_sda.errors import InputError
from recbole_sda.io.tensors import read_tensors

ACTIVATIONS = {"Identity": nn.Identity, "Tanh": nn.Tanh, "GELU": nn.GELU, "ReLU": nn.ReLU}


def dense_head(
    dense: Tuple[Tuple[Dict[str, Any], Path], ...], dim: int, weights: bool = True
) -> Optional[nn.Sequential]:
    """Return Dense layers of sentence-transformers as one frozen module in float32; None without a layer.

    Args:
        dense: configuration and weights file of each layer, in order.
        dim: dimension of the pooled vectors.
        weights: False creates the module on torch's ``meta`` device.

    Raises:
        InputError: a layer takes vectors of another dimension, has another activation than Identity, Tanh, GELU or ReLU, or its
            weights are missing or have another shape.
    """
    layers = []
    for config, path in dense:
        if config["in_features"] != dim:
            raise InputError(f"{path.parent}: in_features={config['in_features']}, but vectors have {dim} values")
        dim, activation = config["out_features"], config.get("activation_function", "Tanh").rpartition(".")[2]
        if activation not in ACTIVATIONS:
            raise InputError(f"{path.parent}: activation_function={activation!r}: allowed are {', '.join(ACTIVATIONS)}")
        with torch.device("meta"):
            linear = nn.Linear(config["in_features"], dim, bias=config.get("bias", True))
        if weights:
            try:
                tensors = {name.removeprefix("linear."): value.float() for name, value in read_tensors(path).items()}
                linear.load_state_dict(tensors, assign=True)
            except RuntimeError:
                raise InputError(
                    f"{path}: expected the weights of a layer of {config['in_features']} x {dim} values"
                ) from None
        layers += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers).requires_grad_(False).eval() if layers else None
