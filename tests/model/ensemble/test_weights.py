"""The weights of an ensemble: pools against a slow loop over all items, and the search."""

import math

import pytest
import torch

from recbole_sda.model.ensemble.member import standardise_
from recbole_sda.model.ensemble.weights import Pool, _cases, metric_of_ranks, search_weights

N_ROWS, N_ITEMS, N_MEMBERS = 6, 30, 3


def scores_and_candidates(seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.stack([standardise_(torch.randn(N_ROWS, N_ITEMS, generator=generator)) for _ in range(N_MEMBERS)])
    allowed = torch.rand(N_ROWS, N_ITEMS, generator=generator) > 0.3
    allowed[:, 0] = False
    rows, items = torch.arange(N_ROWS), torch.randint(1, N_ITEMS, (N_ROWS,), generator=generator)
    allowed[rows, items] = True
    groups = torch.randint(0, 2, (N_ITEMS,), generator=generator)
    return z, allowed, rows, items, groups


@pytest.mark.parametrize("n_groups", [1, 2])
@pytest.mark.parametrize("depth", [N_ITEMS - 1, 12])
def test_ranks_in_the_pool_equal_ranks_among_all_candidates(n_groups, depth):
    z, allowed, rows, items, groups = scores_and_candidates()
    if n_groups == 1:
        groups = torch.zeros_like(groups)
    target, others, item, other = _cases(z, allowed, rows, items, depth)
    pool = Pool(target, others, groups[item], groups[other])
    weights = torch.tensor([[1.0, 0.4, 0.0], [0.2, 0.9, 0.3]])[:n_groups]
    ranks = pool.ranks(weights)
    for row in range(N_ROWS):
        total = {
            i: sum(float(weights[groups[i], m] * z[m, row, i]) for m in range(N_MEMBERS))
            for i in range(1, N_ITEMS)
            if allowed[row, i]
        }
        rank = 1 + sum(score > total[int(items[row])] for score in total.values())
        assert ranks[row] == rank if depth == N_ITEMS - 1 else ranks[row] <= rank
        if rank <= 5:
            assert ranks[row] == rank


def test_standardised_scores_have_mean_0_and_deviation_1_without_the_padding():
    z = standardise_(torch.randn(4, 9) * 3 + 7)
    assert z[:, 0].isneginf().all()
    torch.testing.assert_close(z[:, 1:].mean(dim=1), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(z[:, 1:].std(dim=1, correction=0), torch.ones(4))
    assert (standardise_(torch.ones(2, 5))[:, 1:] == 0).all()


def test_items_of_equal_score_come_before_the_target():
    pool = Pool(torch.zeros(1, 1), torch.zeros(1, 4, 1), torch.zeros(1).long(), torch.zeros(1, 4).long())
    assert pool.ranks(torch.ones(1, 1)).tolist() == [5]


@pytest.mark.parametrize(
    "name, values",
    [
        ("NDCG@10", [1 / math.log2(4), 0]),
        ("hit@3", [1, 0]),
        ("MRR@10", [1 / 3, 0]),
        ("Precision@10", [1 / math.log2(4), 0]),
    ],
)
def test_metrics_of_ranks(name, values):
    written, _, metric = metric_of_ranks(name)
    assert [metric(torch.tensor([3.0])), metric(torch.tensor([11.0]))] == pytest.approx(values)
    assert written == (name.lower() if "precision" not in name.lower() else "ndcg@10")


@pytest.mark.parametrize("n_groups", [1, 2])
def test_the_search_is_never_below_the_best_member_and_finds_a_planted_mix(n_groups):
    generator = torch.Generator().manual_seed(3)
    cases, others = 400, 40
    target, rest = torch.randn(cases, 3, generator=generator), torch.randn(cases, others, 3, generator=generator)
    target[: cases // 2, 0] += 2.5  # member 0 knows one half, member 1 the other, member 2 nothing
    target[cases // 2 :, 1] += 2.5
    pool = Pool(target, rest, torch.zeros(cases).long(), torch.zeros(cases, others).long())
    *_, metric = metric_of_ranks("ndcg@5")
    weights, best, alone = search_weights(pool, metric, n_groups)
    assert weights.shape == (n_groups, 3) and best == metric(pool.ranks(weights))
    assert best > 1.1 * max(alone)
    ratio = float(weights[0, 1] / weights[0, 0])
    assert 0.5 < ratio < 2 and weights[0, 2] < 0.5 * weights[0, 0]


def test_a_single_member_keeps_the_weight_1():
    pool = Pool(torch.randn(5, 1), torch.randn(5, 4, 1), torch.zeros(5).long(), torch.zeros(5, 4).long())
    assert search_weights(pool, metric_of_ranks("ndcg@3")[2], 1)[0].tolist() == [[1.0]]
