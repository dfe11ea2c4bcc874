"""Content vectors of items and their principal components."""

import torch

from recbole_sda.features.content import content_vectors, principal_components


def test_similarity_is_the_mean_over_the_modalities_of_the_teacher():
    torch.manual_seed(0)
    image, text = torch.randn(5, 3), torch.randn(5, 4)
    vectors = content_vectors([image, text], torch.ones(2, 5, dtype=torch.bool))
    cosine = torch.nn.functional.cosine_similarity
    for i in range(5):
        for j in range(5):
            mean = (cosine(image[i], image[j], dim=0) + cosine(text[i], text[j], dim=0)) / 2
            assert torch.isclose(vectors[i] @ vectors[j], mean, atol=1e-6)


def test_a_missing_modality_is_zero_and_the_vector_keeps_unit_length():
    image, text = torch.randn(3, 3), torch.randn(3, 4)
    present = torch.tensor([[True, False, False], [True, True, False]])
    vectors = content_vectors([image, text], present)
    assert torch.equal(vectors[1, :3], torch.zeros(3)) and torch.equal(vectors[2], torch.zeros(7))
    assert torch.allclose(vectors[:2].norm(dim=1), torch.ones(2))


def test_components_are_uncorrelated_with_unit_variance_in_the_order_of_variance():
    torch.manual_seed(0)
    vectors = torch.randn(2000, 6) * torch.tensor([1.0, 5.0, 0.1, 3.0, 2.0, 4.0]) + 7
    present = torch.arange(2000) % 5 > 0
    components = principal_components(vectors, present, 4)
    chosen = components[present].double()
    assert torch.equal(components[~present], torch.zeros(400, 4))
    assert torch.allclose(chosen.T @ chosen / 1600, torch.eye(4, dtype=torch.double), atol=1e-4)
    for k, axis in enumerate([1, 5, 3, 4]):
        correlation = torch.corrcoef(torch.stack([components[present, k], vectors[present, axis]]))[0, 1]
        assert correlation > 0.95  # the sign too: the largest loading is positive


def test_absent_items_have_no_influence():
    torch.manual_seed(0)
    vectors, present = torch.randn(30, 5), torch.arange(30) > 0
    other = vectors.clone()
    other[0] = 100.0
    assert torch.equal(principal_components(vectors, present, 3), principal_components(other, present, 3))


def test_components_beyond_the_rank_are_zero():
    vectors = torch.randn(20, 2) @ torch.randn(2, 6)
    components = principal_components(vectors, torch.ones(20, dtype=torch.bool), 9)
    assert components.shape == (20, 9) and torch.equal(components[:, 2:], torch.zeros(20, 7))
    assert principal_components(vectors, torch.arange(20) < 1, 3).abs().sum() == 0  # a single item has no variance
