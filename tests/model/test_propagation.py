"""LightGCN with the faster product is LightGCN."""

import pytest
import torch

from recbole_sda.model.propagation import use_fast_products


@pytest.mark.parametrize("name", ["LightGCN", "LightGCN_SDA"])
def test_same_loss_gradients_and_scores(build, name):
    result = []
    for fast in (False, True):
        built = build(name)
        assert not fast or use_fast_products(built.model)
        built.model.train()
        loss = built.model.calculate_loss(built.batch)
        (sum(loss) if isinstance(loss, tuple) else loss).backward()
        built.model.eval()
        with torch.no_grad():
            scores = built.model.full_sort_predict(next(iter(built.data.valid))[0])
        result.append([built.model.user_embedding.weight.grad, scores])
    for plain, fast in zip(*result):
        torch.testing.assert_close(plain, fast)


def test_other_models_stay(build):
    assert not use_fast_products(build("NGCF").model)
