import numpy as np
import pytest
import scipy.sparse as sp

from recbole_sda.graphs import shared_users as module
from recbole_sda.graphs.shared_users import shared_users


def random_case(seed=0, n_users=40, n_items=30):
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, n_users, 300), rng.integers(1, n_items, 300)
    graph = sp.random(n_items, n_items, 0.15, "csr", random_state=seed)
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph, users, items, n_users


def slow(graph, users, items):
    sets = {item: set(users[items == item].tolist()) for item in range(graph.shape[0])}
    links = [(i, j) for i in range(graph.shape[0]) for j in graph[i].indices]
    n = {item: len(group) for item, group in sets.items()}
    every = [(i, j) for i in n for j in n if i != j]
    share = sum(len(sets[i] & sets[j]) for i, j in every) / sum(n[i] * n[j] for i, j in every)
    return sum(len(sets[i] & sets[j]) for i, j in links), sum(n[i] * n[j] for i, j in links) * share


@pytest.mark.parametrize("block", [1, 7, 2**20])
def test_counts_are_those_of_a_loop_for_any_size_of_blocks(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_PAIRS", block)
    graph, users, items, n_users = random_case()
    found = shared_users(graph, users, items, n_users)
    assert tuple(found) == pytest.approx(slow(graph, users, items))


def test_links_at_random_have_a_lift_of_one_on_average():
    _, users, items, n_users = random_case()
    lifts = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rows, columns = rng.integers(1, 30, 200), rng.integers(1, 30, 200)
        kept = rows != columns
        graph = sp.csr_matrix((np.ones(kept.sum()), (rows[kept], columns[kept])), shape=(30, 30))
        lifts.append(shared_users(graph, users, items, n_users).lift)
    assert np.mean(lifts) == pytest.approx(1.0, abs=0.02)


def test_nothing_expected_is_a_lift_of_one():
    graph = sp.csr_matrix((3, 3))
    assert shared_users(graph, np.array([0]), np.array([1]), 1).lift == 1.0
    assert shared_users(graph, np.array([], int), np.array([], int), 1).lift == 1.0
