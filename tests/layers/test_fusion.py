"""Fusion of modality embeddings, item by item, with missing modalities."""

import pytest
import torch

from recbole_sda.layers.fusion import FUSIONS, ConcatFusion, GatedFusion, MeanFusion

PRESENT = torch.tensor([[True, True, False, False], [True, False, True, False]])  # both, first, second, none


@pytest.fixture
def embeddings():
    torch.manual_seed(0)
    return torch.randn(2, 4, 3, dtype=torch.float64)


def test_mean_takes_what_an_item_has(embeddings):
    fused = MeanFusion(2, 3)(embeddings, PRESENT)
    both = embeddings.mean(dim=0)
    expected = torch.stack([both[0], embeddings[0, 1], embeddings[1, 2], both[3]])
    torch.testing.assert_close(fused, expected)


def test_gated_weights_are_a_softmax_over_what_an_item_has(embeddings):
    fusion = GatedFusion(2, 3).double()
    fused = fusion(embeddings, PRESENT)
    torch.testing.assert_close(fused[1], embeddings[0, 1])
    torch.testing.assert_close(fused[2], embeddings[1, 2])
    for item in (0, 3):
        scores = [fusion.score(torch.tanh(embeddings[m, item])).exp() for m in range(2)]
        expected = sum(s * embeddings[m, item] for m, s in enumerate(scores)) / sum(scores)
        torch.testing.assert_close(fused[item], expected)


def test_concat_projects_all_modalities(embeddings):
    fusion = ConcatFusion(2, 3).double()
    fused = fusion(embeddings, PRESENT)
    for item in range(4):
        torch.testing.assert_close(
            fused[item], fusion.projection(torch.cat([embeddings[0, item], embeddings[1, item]]))
        )


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize("n_modalities", [1, 2, 3])
def test_any_number_of_modalities_with_finite_gradients(name, n_modalities):
    embeddings = torch.randn(n_modalities, 5, 3, requires_grad=True)
    present = torch.rand(n_modalities, 5) > 0.5
    present[:, 0] = False
    fused = FUSIONS[name](n_modalities, 3)(embeddings, present)
    assert fused.shape == (5, 3)
    fused.square().sum().backward()
    assert torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("name", ["mean", "gated"])
def test_embedding_of_a_missing_modality_has_no_effect(name, embeddings):
    fusion = FUSIONS[name](2, 3).double()
    before = fusion(embeddings, PRESENT)
    changed = embeddings.clone()
    changed[1, 1], changed[0, 2] = 100.0, -100.0
    assert torch.equal(fusion(changed, PRESENT), before)
