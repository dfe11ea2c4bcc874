"""Ranks, tied ranks, and the metrics computed from them, by hand."""

import math

import numpy as np
import torch

from recbole_sda.metrics.ranks import Cases, break_ties, case_metrics, list_metrics, mean_metrics, ranks_of

SCORES = torch.tensor([[0.9, 0.1, 0.5, -torch.inf], [0.2, 0.2, 0.7, 0.1]])


def test_ranks_by_hand_with_ties_against():
    row, item = torch.tensor([0, 1, 1]), torch.tensor([2, 0, 3])
    assert ranks_of(SCORES, row, item).tolist() == [2, 3, 4]
    assert ranks_of(SCORES, torch.arange(2), torch.tensor([0, 2])).tolist() == [1, 1]
    assert ranks_of(torch.zeros(1, 9), torch.tensor([0]), torch.tensor([4])).tolist() == [9]


def test_tied_positive_items_get_consecutive_ranks():
    row, rank = torch.tensor([0, 1, 0, 1, 1, 0]), torch.tensor([4, 3, 4, 3, 1, 2])
    assert break_ties(row, rank).tolist() == [3, 2, 4, 3, 1, 2]
    assert break_ties(row[:0], rank[:0]).tolist() == []


def test_nan_scores_rank_last():
    scores = torch.tensor([[torch.nan, 0.1, 0.5], [torch.nan] * 3])
    assert ranks_of(scores, torch.arange(2), torch.tensor([2, 1])).tolist() == [2, 3]
    assert ranks_of(scores, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])).tolist() == [3, 3, 3]


def test_many_items_per_row_are_ranked_in_blocks():
    scores = torch.rand(3, 50)
    row, item = torch.arange(3).repeat_interleave(50), torch.arange(50).repeat(3)
    expected = (scores[row] >= scores[row, item].unsqueeze(1)).sum(dim=1)
    assert torch.equal(ranks_of(scores, row, item), expected)
    assert ranks_of(scores, row[:0], item[:0]).tolist() == []


def test_list_metrics_by_hand():
    # user 5: positive items at ranks 1 and 4; user 7: at rank 3
    cases = Cases(np.array([0, 1, 0]), np.array([5, 7, 5]), np.array([1, 2, 3]), np.array([4, 3, 1]))
    values = list_metrics(cases, [3])
    assert values["hit@3"].tolist() == [1, 1] and values["recall@3"].tolist() == [0.5, 1]
    assert values["mrr@3"].tolist() == [1, 1 / 3]
    assert np.allclose(values["ndcg@3"], [1 / (1 + 1 / math.log2(3)), 0.5])


def test_case_metrics_by_hand():
    cases = Cases(np.array([0, 1]), np.array([1, 2]), np.array([1, 2]), np.array([1, 11]))
    values = case_metrics(cases, [10, 20])
    assert values["hit@10"].tolist() == [1, 0] and values["mrr@20"].tolist() == [1, 1 / 11]
    assert np.allclose(values["ndcg@20"], [1, 1 / math.log2(12)])


def test_mean_over_the_chosen():
    assert mean_metrics({"hit@1": np.ones(3)}, np.zeros(3, dtype=bool)) == {"cases": 0}
    assert mean_metrics({"hit@1": np.arange(3)}, np.array([True, False, True])) == {"cases": 2, "hit@1": 1.0}


def test_join():
    one = Cases(*(np.array([k]) for k in range(4)))
    assert Cases.join([one, one]).rank.tolist() == [3, 3] and len(Cases.join([]).rank) == 0
