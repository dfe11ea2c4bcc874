"""Scores as products: the factors of models and of ensembles give their scores, and other models are refused."""

from types import SimpleNamespace

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.model.ensemble.member import scores_of
from recbole_sda.model.ensemble.products import ModelProduct, _mean_and_covariance, _scaled

SEQUENTIAL = ["SASRec", "GRU4Rec", "BERT4Rec", "CORE", "NARM", "STAMP", "SASRec_SDA", "ContentKNN"]
GENERAL = ["BPR", "LightGCN", "SimpleX", "BPR_SDA", "VBPR", "FREEDOM", "FREEDOM_SDA"]


@pytest.mark.parametrize("name", [*SEQUENTIAL, *GENERAL])
def test_scores_are_the_product_of_queries_and_rows(build, name):
    built = build(name)
    model = built.model.eval()
    first, second = (batch for batch, *_ in (next(iter(built.data.valid)), next(iter(built.data.test))))
    product = ModelProduct(name, model, first)
    assert product.rows.shape[0] == model.n_items and product.rows.dtype == torch.float32
    with torch.no_grad():
        for batch in (first, second, second[:1]):
            expected = scores_of(model, batch)[:, 1:]
            scores = (product.queries(batch) @ product.rows.T)[:, 1:]
            torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["TransRec", "SequenceKNN", "NeuMF"])
def test_other_scores_are_refused(build, name):
    built = build(name)
    with pytest.raises(
        InputError, match=f"^mine: the scores of {name} are no product of a query vector and one row per"
    ):
        ModelProduct("mine", built.model.eval(), next(iter(built.data.test))[0])


class Stub(torch.nn.Module):
    """Scores of ten items that a function makes of a product."""

    n_items = 10

    def __init__(self, change):
        super().__init__()
        self.change, self.rows = change, torch.randn(10, 3, generator=torch.Generator().manual_seed(0))

    def full_sort_predict(self, batch):
        return self.change(batch.x @ self.rows.T, batch.x)


class Batch(SimpleNamespace):
    def __len__(self):
        return len(self.x)


@pytest.mark.parametrize(
    "change",
    [lambda s, x: 3 * s, lambda s, x: s - 2, lambda s, x: s / 0.07 + torch.arange(10.0), lambda s, x: s.flatten()],
)
def test_constants_are_found(change):
    model, batch = Stub(change), Batch(x=torch.randn(6, 3, generator=torch.Generator().manual_seed(1)))
    product = ModelProduct("stub", model, batch)
    scores = product.queries(batch) @ product.rows.T
    torch.testing.assert_close(scores[:, 1:], scores_of(model, batch)[:, 1:], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "change", [lambda s, x: s.sigmoid(), lambda s, x: s + x[:, :1], lambda s, x: 0 * s, lambda s, x: s * x[:, :1]]
)
def test_what_is_more_than_a_product_is_refused(change):
    with pytest.raises(InputError, match="no product"):
        ModelProduct("stub", Stub(change), Batch(x=torch.randn(6, 3, generator=torch.Generator().manual_seed(1))))


def test_rows_that_depend_on_the_batch_are_refused():
    model = Stub(lambda s, x: s)
    batch = Batch(x=torch.randn(6, 3, generator=torch.Generator().manual_seed(1)))
    product = ModelProduct("stub", model, batch)
    model.rows = model.rows * 2
    with pytest.raises(InputError, match="no product"):
        product.queries(batch)


def test_scaled_queries_have_scores_of_deviation_1():
    generator = torch.Generator().manual_seed(2)
    rows, queries = torch.randn(50, 4, generator=generator) + 3, torch.randn(5, 4, generator=generator)
    queries[4] = 0
    mean, covariance = _mean_and_covariance(rows)
    torch.testing.assert_close(mean, rows[1:].double().mean(dim=0))
    torch.testing.assert_close(covariance, torch.cov(rows[1:].double().T, correction=0))
    scores = _scaled(queries, mean, covariance) @ (rows[1:] - mean.float()).T
    torch.testing.assert_close(scores[:4].std(dim=1, correction=0), torch.ones(4))
    torch.testing.assert_close(scores.mean(dim=1), torch.zeros(5), atol=1e-5, rtol=0)
    assert (scores[4] == 0).all()
