import math

import torch
from torch.nn import functional as F

from recbole_sda.lvlm.retrieval import recall_at, retrieval_metrics, uniformity


def test_equal_sides_find_each_other():
    x = torch.eye(12)
    found = retrieval_metrics(3 * x, x)
    assert found["recall@1"] == found["recall@10"] == 1.0 and found["alignment"] == 0.0


def test_constant_vectors_find_nothing_by_chance():
    x = torch.ones(20, 4)
    assert retrieval_metrics(x, x)["recall@10"] == 0.0  # ties count against


def test_recall_by_hand():
    similarity = torch.tensor([[0.5, 0.9, 0.1], [0.2, 0.8, 0.3], [0.7, 0.6, 0.4]])
    assert math.isclose(recall_at(similarity, 1), 1 / 3, rel_tol=1e-6)
    assert math.isclose(recall_at(similarity, 2), 2 / 3, rel_tol=1e-6)


def test_uniformity_is_the_formula():
    z = F.normalize(torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
    terms = [math.exp(-2 * float((z[i] - z[j]).pow(2).sum())) for i in range(7) for j in range(7) if i != j]
    assert math.isclose(uniformity(z), math.log(sum(terms) / len(terms)), rel_tol=1e-5)


def test_what_is_no_number_finds_nothing():
    nothing = torch.full((20, 4), math.nan)
    assert retrieval_metrics(nothing, torch.eye(20)[:, :4])["recall@10"] == 0
