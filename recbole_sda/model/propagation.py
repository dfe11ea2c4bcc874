"""LightGCN with :class:`SparseMatrix`: RecBole's transposes its adjacency matrix in each backward pass."""

from typing import Any, Callable, Dict, Optional, Tuple

import scipy.sparse as sp
import torch
from torch import Tensor, nn

from recbole_sda.graphs.sparse import SparseMatrix


class AdjacencyMatrix:
    """Replacement for a model's sparse tensor: ``torch.sparse.mm`` with it is a product with a :class:`SparseMatrix`.

    Args:
        tensor: sparse tensor, (n_nodes, n_nodes).

    Raises:
        TypeError: any other function of torch is called with it.
    """

    def __init__(self, tensor: Tensor):
        coo = tensor.detach().cpu().coalesce()
        rows, cols = coo.indices().numpy()
        matrix = sp.coo_matrix((coo.values().numpy(), (rows, cols)), shape=coo.shape)
        self.product = SparseMatrix(matrix).to(tensor.device)

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: Tuple[Any, ...] = (), kwargs: Optional[Dict[str, Any]] = None
    ) -> Tensor:
        if func is not torch.sparse.mm:
            raise TypeError(f"{func} is not defined for {cls.__name__}; only torch.sparse.mm is")
        matrix, x = args
        return matrix.product(x)


def use_fast_products(model: nn.Module) -> bool:
    """Replace the adjacency matrix of a LightGCN, and return True; return False for any other model.

    Results differ from RecBole's by rounding.
    """
    from recbole.model.general_recommender import LightGCN

    if not isinstance(model, LightGCN):
        return False
    model.norm_adj_matrix = AdjacencyMatrix(model.norm_adj_matrix)
    return True
