"""RecBole's LightGCN transposes its adjacency matrix in each backward pass; :class:`SparseMatrix` keeps the transpose."""

import scipy.sparse as sp
import torch
from torch import nn

from recbole_sda.graphs.sparse import SparseMatrix


class AdjacencyMatrix:
    """Stands where a model keeps a sparse tensor and answers ``torch.sparse.mm`` with a :class:`SparseMatrix`."""

    def __init__(self, tensor: torch.Tensor):
        coo = tensor.detach().cpu().coalesce()
        rows, cols = coo.indices().numpy()
        matrix = sp.coo_matrix((coo.values().numpy(), (rows, cols)), shape=coo.shape)
        self.product = SparseMatrix(matrix).to(tensor.device)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is not torch.sparse.mm:
            raise TypeError(f"{func} is not defined for {cls.__name__}; only torch.sparse.mm is")
        matrix, x = args
        return matrix.product(x)


def use_fast_products(model: nn.Module) -> bool:
    """Replace LightGCN's adjacency matrix; return whether it was there. Values differ by rounding."""
    from recbole.model.general_recommender import LightGCN

    if not isinstance(model, LightGCN):
        return False
    model.norm_adj_matrix = AdjacencyMatrix(model.norm_adj_matrix)
    return True
