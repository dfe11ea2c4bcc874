"""BM3 against the paper's formulas."""

import numpy as np
import torch

from .conftest import array, light_gcn, linear


def cosine(x, y):
    return np.sum(x * y, axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)


def slow(made):
    users, items = light_gcn(made.pairs, made.users, made.items, made.model.n_layers)
    return users, items + made.items


def test_scores_are_products_of_predicted_embeddings(toy):
    made = toy("BM3", n_layers=2)
    users, items = (linear(made.model.predictor, part) for part in slow(made))
    found = made.model.embeddings()
    np.testing.assert_allclose(array(found[0]), users, atol=1e-5)
    np.testing.assert_allclose(array(found[1]), items, atol=1e-5)


def test_loss_without_dropout(toy):
    made = toy("BM3", n_layers=2, dropout=0.0, reg_weight=0.3, cl_weight=0.7)
    model, (u, i) = made.model, made.triple[:2]
    users, items = slow(made)

    def predicted(x):
        return linear(model.predictor, x)

    expected = 2 - np.mean(cosine(predicted(users[u]), items[i])) - np.mean(cosine(predicted(items[i]), users[u]))
    for m, x in enumerate(made.features):
        some = [k for k in i if made.present[m, k]]
        h = linear(model.maps[m], x[some])
        expected += 0.7 * (2 - np.mean(cosine(predicted(h), items[some])) - np.mean(cosine(predicted(h), h)))
    expected += 0.3 * (np.linalg.norm(users) + np.linalg.norm(items)) / model.n_items
    np.testing.assert_allclose(model.calculate_loss(made.batch).item(), expected, rtol=1e-4)


def test_targets_are_constants_and_no_negative_is_drawn(toy):
    """With the prediction of users cut off, what is left of the graph's loss trains items' side alone."""
    made = toy("BM3", cl_weight=0.0, reg_weight=0.0, n_layers=0, dropout=0.0)
    model = made.model
    assert model.NEG_ITEM_ID not in made.batch.interaction
    model.calculate_loss(made.batch).backward()
    gradient = model.item_embedding.weight.grad
    # with no layers an item is twice its id embedding; its gradient comes from predicting users from it, by hand:
    item = model.item_embedding.weight.detach().clone().requires_grad_()
    users, items = made.batch["user_id"], made.batch["item_id"]
    predicted = model.predictor(2 * item[items])
    (
        1 - torch.nn.functional.cosine_similarity(predicted, model.user_embedding.weight[users].detach())
    ).mean().backward()
    torch.testing.assert_close(gradient, item.grad)
