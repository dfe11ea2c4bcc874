"""Scores as products of a query vector and one row per item, so that one index of vectors serves a model or an ensemble.

The factors of a model are found while it computes its scores: the last product of a matrix with a row per user and a matrix with a
row per item. They are used if the scores are that product, times a constant, plus a constant per item.
"""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_sda.errors import InputError
from recbole_sda.model.ensemble.member import STD_MIN, Member, scores_of
from recbole_sda.model.ensemble.model import Ensemble
from recbole_sda.model.softmax_loss import SoftmaxLoss

TOLERANCE = 1e-5  # of the scores, relative to the largest one: what float32 loses
BLOCK = 65536  # items at a time in float64
PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)


class _LastProduct(TorchDispatchMode):
    """Records the factors of the last product that has ``n_rows`` rows and at least ``n_items`` columns."""

    def __init__(self, n_rows: int, n_items: int):
        super().__init__()
        self.n_rows, self.n_items = n_rows, n_items
        self.factors: Optional[Tuple[Tensor, Tensor]] = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            left, right = args[-2:]
            if len(left) == self.n_rows and right.shape[1] >= self.n_items:
                self.factors = left, right.T[: self.n_items]
        return func(*args, **(kwargs or {}))


class ModelProduct:
    """The scores of a model as ``queries @ rows.T``.

    Args:
        name: of the model, for messages.
        model: a model that scores all items.
        probe: a batch with two users or more whose scores differ, on which the product is checked.

    Attributes:
        rows: (n_items, dim), float32; the bias of the items, if the model has one, is the last column.
        has_bias: whether it has one; query vectors then end with a 1.
        has_encoder: whether the model's ``query_vectors`` are the queries, without a product with all items.

    Raises:
        InputError: the scores are no such product.
    """

    def __init__(self, name: str, model: Any, probe: Any):
        self.name, self.model = name, model
        scores, queries, self._table = self._run(probe)
        product = (queries @ self._table.T).double()
        scale, bias = _scale_and_bias(scores[:, 1:].double(), product[:, 1:])
        error = (scores[:, 1:] - scale * product[:, 1:] - bias).abs().max()
        if scale == 0 or not error <= TOLERANCE * scores[:, 1:].abs().max():
            raise self._refused()
        self.has_bias = bool(bias.abs().max() > TOLERANCE * scores[:, 1:].abs().max())
        self.rows = self._table * scale.float()
        if self.has_bias:
            self.rows = torch.cat([self.rows, torch.cat([bias.new_zeros(1), bias]).float().unsqueeze(1)], dim=1)
        with torch.no_grad():
            self.has_encoder = isinstance(model, SoftmaxLoss) and torch.equal(model.query_vectors(probe), queries)

    def queries(self, batch: Any) -> Tensor:
        """Return the query vector of each row of a batch, (batch, dim), float32."""
        if self.has_encoder:
            with torch.no_grad():
                queries = self.model.query_vectors(batch)
        else:
            _, queries, table = self._run(batch)
            if not torch.equal(table, self._table):
                raise self._refused()
        return self.with_bias(queries)

    def with_bias(self, queries: Tensor) -> Tensor:
        """Return query vectors (batch, dim) as they are multiplied with the rows: with a 1 for the bias, if there is one."""
        return torch.cat([queries, torch.ones_like(queries[:, :1])], dim=1) if self.has_bias else queries

    def _run(self, batch: Any) -> Tuple[Tensor, Tensor, Tensor]:
        try:
            with torch.no_grad(), _LastProduct(len(batch), self.model.n_items) as last:
                scores = scores_of(self.model, batch)
        except NotImplementedError:  # it scores single items only
            raise self._refused() from None
        if last.factors is None:
            raise self._refused()
        return scores, last.factors[0].float(), last.factors[1].float()

    def _refused(self) -> InputError:
        return InputError(
            f"{self.name}: the scores of {type(self.model).__name__} are no product of a query vector and one row per item, so "
            "that no index of vectors has them; an ensemble that gives it no weight can be exported"
        )


def _scale_and_bias(scores: Tensor, product: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the constant and the constant per item, (n_items,), with ``scores = constant * product + constant per item``."""
    differences, ours = product[1:] - product[:1], scores[1:] - scores[:1]
    scale = (differences * ours).sum() / differences.square().sum().clamp(min=torch.finfo(torch.float64).tiny)
    if abs(scale - 1) < TOLERANCE:
        scale = torch.ones_like(scale)
    return scale, (scores - scale * product).mean(dim=0)


class EnsembleProduct:
    """The scores of an ensemble as ``queries @ rows.T``.

    A member's score is ``q r_i``. With the mean row ``r`` and the covariance C of the rows over all items, its standardised score
    is ``q (r_i - r) / sqrt(q C q)``. So the row of item i is ``w[g(i), m] (r_i - r)`` of all members m, one after the other, and
    the query vector is ``q / sqrt(q C q)`` of all members. Weights by group of items need no further columns.

    Args:
        model: the ensemble.
        probe: see :class:`ModelProduct`.

    Attributes:
        rows: (n_items, sum of the members' dim), float32.

    Raises:
        InputError: the scores of a member with a positive weight are no product.
    """

    def __init__(self, model: Ensemble, probe: Any):
        self.model, self.only = model, model.only
        self.members: List[Tuple[Member, Any]] = [
            (member, product_of(member.name, member.model, model.member_input(member, probe)))
            for member in (model.members[m] for m in model.used)
        ]
        parts = [product.rows for _, product in self.members]
        self._moments = [_mean_and_covariance(rows) for rows in parts]
        if self.only is None:
            weights = model.weights[model.groups][:, model.used].T.unsqueeze(2)  # (n_used, n_items, 1)
            means = (mean for mean, _ in self._moments)
            parts = [(rows - mean.float()) * weight for rows, mean, weight in zip(parts, means, weights)]
        self.rows = torch.cat(parts, dim=1)

    def queries(self, batch: Any) -> Tensor:
        """Return the query vector of each row of a batch, (batch, dim), float32."""
        parts = [product.queries(self.model.member_input(member, batch)) for member, product in self.members]
        if self.only is None:
            parts = [_scaled(queries, *moments) for queries, moments in zip(parts, self._moments)]
        return torch.cat(parts, dim=1)


def _mean_and_covariance(rows: Tensor) -> Tuple[Tensor, Tensor]:
    """Return mean (dim,) and covariance (dim, dim) of the rows of all items without the padding item 0, float64."""
    blocks = rows[1:].split(BLOCK)
    mean = torch.stack([block.double().sum(dim=0) for block in blocks]).sum(dim=0) / (len(rows) - 1)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=rows.device)
    for block in blocks:
        centred = block.double() - mean
        covariance.addmm_(centred.T, centred)
    return mean, covariance / (len(rows) - 1)


def _scaled(queries: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Divide queries (batch, dim) by the standard deviation of their scores; those with equal scores for all items become 0."""
    exact = queries.double()
    std = (exact @ covariance * exact).sum(dim=1).clamp(min=0).sqrt()
    keep = std > (exact @ mean).abs() * STD_MIN
    return (exact * torch.where(keep, 1 / std, 0.0).unsqueeze(1)).float()


def product_of(name: str, model: Any, probe: Any) -> Any:
    """Return the :class:`EnsembleProduct` of an ensemble, or the :class:`ModelProduct` of another model."""
    return EnsembleProduct(model, probe) if isinstance(model, Ensemble) else ModelProduct(name, model, probe)
