"""BM3 against the paper's formulas."""

import numpy as np
import torch

from .conftest import array, light_gcn, linear


def cosine(x, y):
    return np.sum(x * y, axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)


def slow(case):
    users, items = light_gcn(case.pairs, case.users, case.items, case.model.n_layers)
    return users, items + case.items


def test_scores_are_products_of_predicted_embeddings(toy):
    case = toy("BM3", n_layers=2)
    users, items = (linear(case.model.predictor, part) for part in slow(case))
    result = case.model.embeddings()
    np.testing.assert_allclose(array(result[0]), users, atol=1e-5)
    np.testing.assert_allclose(array(result[1]), items, atol=1e-5)


def test_loss_without_dropout(toy):
    case = toy("BM3", n_layers=2, dropout=0.0, reg_weight=0.3, cl_weight=0.7)
    model, (u, i) = case.model, case.triple[:2]
    users, items = slow(case)

    def predicted(x):
        return linear(model.predictor, x)

    expected = 2 - np.mean(cosine(predicted(users[u]), items[i])) - np.mean(cosine(predicted(items[i]), users[u]))
    for m, x in enumerate(case.features):
        some = [k for k in i if case.present[m, k]]
        h = linear(model.maps[m], x[some])
        expected += 0.7 * (2 - np.mean(cosine(predicted(h), items[some])) - np.mean(cosine(predicted(h), h)))
    # row 0 is padding, which the authors' code does not have
    expected += 0.3 * (np.linalg.norm(users[1:]) + np.linalg.norm(items[1:])) / (model.n_items - 1)
    np.testing.assert_allclose(model.calculate_loss(case.batch).item(), expected, rtol=1e-4)


def test_targets_are_constants_and_no_negative_is_drawn(toy):
    """With the prediction of users cut off, what is left of the graph's loss trains items' side alone."""
    case = toy("BM3", cl_weight=0.0, reg_weight=0.0, n_layers=0, dropout=0.0)
    model = case.model
    assert model.NEG_ITEM_ID not in case.batch.interaction
    model.calculate_loss(case.batch).backward()
    gradient = model.item_embedding.weight.grad
    # with no layers an item is twice its id embedding; its gradient comes from predicting users from it, by hand:
    item = model.item_embedding.weight.detach().clone().requires_grad_()
    users, items = case.batch["user_id"], case.batch["item_id"]
    predicted = model.predictor(2 * item[items])
    (
        1 - torch.nn.functional.cosine_similarity(predicted, model.user_embedding.weight[users].detach())
    ).mean().backward()
    torch.testing.assert_close(gradient, item.grad)
