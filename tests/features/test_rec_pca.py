"""Rec-PCA: against its definition, on planted groups of items, and what its cache depends on."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.rec_pca import cooccurrence_of_rows
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.features.transforms import uses_graph, view, view_of_others
from recbole_sda.graphs.cooccurrence import cooccurrence_similarity

N, DIM = 60, 8


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    """Sixty items of correlated values around a mean, a sixth of them missing."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(N, DIM)) @ rng.normal(size=(DIM, DIM)) + 3).astype(np.float32)
    present = {"text": np.arange(N) % 6 != 2}
    return FeatureStore(write_store(tmp_path / "planted", [f"i{k}" for k in range(N)], {"text": x}, present))


@pytest.fixture
def graph() -> sp.csr_matrix:
    """Co-occurrence in random interactions; the last ten items have none."""
    rng = np.random.default_rng(1)
    return cooccurrence_similarity(rng.integers(0, 20, 150), rng.integers(0, N - 10, 150), 20, N, 3.0)


def slow_axes(x, graph, size, gamma):
    """The leading eigenvectors, with the Laplacian's quadratic form summed edge by edge."""
    weight, degree = graph.toarray().astype(float), graph.toarray().astype(float).sum(axis=1)
    centred = x - x.mean(axis=0)
    covariance, penalty = np.cov(x.T), np.zeros((x.shape[1], x.shape[1]))
    for i in range(len(x)):
        for j in range(len(x)):
            if weight[i, j] > 0:
                difference = centred[i] / np.sqrt(degree[i]) - centred[j] / np.sqrt(degree[j])
                penalty += weight[i, j] * np.outer(difference, difference) / 2 / len(x)
    r = np.trace(covariance) / np.trace(penalty)
    values, vectors = scipy.linalg.eigh(covariance - gamma * r * penalty)
    return vectors[:, np.argsort(-values)[:size]]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 10.0])
def test_equals_the_definition(store, graph, gamma):
    present = store.present("text")
    x = store.matrix("text")[present].double().numpy()
    among = graph[present.numpy()][:, present.numpy()]
    expected = (x - x.mean(axis=0)) @ slow_axes(x, among, 3, gamma)
    result = view(store, "text", [f"recpca:3:{gamma}"], graph=graph)
    assert result.shape == (N, 3) and result.dtype == torch.float32 and not result[~present].any()
    np.testing.assert_allclose(result[present].abs().numpy(), np.abs(expected), rtol=1e-4, atol=1e-4)


def test_without_a_weight_it_is_pca(store, graph):
    torch.testing.assert_close(
        view(store, "text", ["recpca:4:0"], graph=graph).abs(),
        view(store, "text", ["pca:4"]).abs(),
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_largest_loading_of_each_axis_is_positive(store, graph):
    x = store.matrix("text")[store.present("text")].double()
    result = view(store, "text", ["recpca:4:0.5"], graph=graph)[store.present("text")].double()
    axes = torch.linalg.lstsq(x - x.mean(dim=0), result).solution
    assert (axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)) > 0).all()


def test_items_that_users_share_come_closer(tmp_path):
    """Groups of items differ in a direction of low variance, which PCA leaves out and Rec-PCA finds by the interactions."""
    rng = np.random.default_rng(0)
    group = np.arange(N) % 2
    x = rng.normal(size=(N, 6)) * np.array([4, 4, 4, 4, 0.3, 0.3])
    x[:, 4] += 2 * group - 1
    store = FeatureStore(write_store(tmp_path / "s", [str(k) for k in range(N)], {"text": x.astype(np.float32)}))
    users = np.arange(200).repeat(5)
    items = rng.integers(0, N // 2, 1000) * 2 + users % 2
    graph = cooccurrence_similarity(users, items, 200, N, 3.0)

    def separation(step):
        unit = view(store, "text", [step, "l2"], graph=graph).numpy()
        cosine = unit @ unit.T
        same = group[:, None] == group
        return cosine[same & ~np.eye(N, dtype=bool)].mean() - cosine[~same].mean()

    assert abs(separation("recpca:2:0")) < 0.1
    assert separation("recpca:2:10") > 0.2


def test_new_items_pass_the_fitted_axes(store, graph, tmp_path):
    rows = [7, 2, 12]  # 2 has no vector
    x, present = store.matrix("text")[rows].numpy(), store.present("text")[rows].numpy()
    later = FeatureStore(write_store(tmp_path / "later", ["x", "y", "z"], {"text": x}, {"text": present}))
    steps = ["center", "l2", "recpca:3:0.5", "l2"]
    expected = view(store, "text", steps, graph=graph)[rows]
    torch.testing.assert_close(view_of_others(store, later, "text", steps, graph), expected, rtol=1e-4, atol=1e-5)


def unsorted(graph):
    """The same graph with the entries of each row in reverse order."""
    index = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(graph.indptr, graph.indptr[1:])])
    return sp.csr_matrix((graph.data[index], graph.indices[index], graph.indptr), shape=graph.shape)


def test_the_cache_depends_on_the_graph(store, graph):
    steps = ["recpca:3:2"]
    first = view(store, "text", steps, graph=graph)
    weights, moved = graph.power(2), graph[::-1][:, ::-1].tocsr()
    assert len(list((store.path / "views").iterdir())) == 1
    for other in (weights, moved):
        assert not torch.allclose(view(store, "text", steps, graph=other), first, atol=1e-3)
    assert len(list((store.path / "views").iterdir())) == 3
    assert torch.equal(view(store, "text", steps, graph=unsorted(graph)), first)
    view(store, "text", ["pca:3"], graph=graph), view(store, "text", ["pca:3"])
    view(store, "text", ["recpca:3:1"], graph=graph), view(store, "text", ["recpca:3:1.0000001"], graph=graph)
    assert len(list((store.path / "views").iterdir())) == 6


def test_no_training_data(store, tmp_path):
    message = "planted, modality 'text': recpca:3:0.5 needs a run's training data"
    with pytest.raises(InputError, match=message):
        view(store, "text", ["recpca:3:0.5"])
    with pytest.raises(InputError, match=message):
        view_of_others(store, store, "text", ["recpca:3:0.5"])
    with pytest.raises(
        InputError, match="recpca:3:0.5 needs items that share users in the training data; there are none"
    ):
        view(store, "text", ["recpca:3:0.5"], graph=sp.csr_matrix((N, N)))
    with pytest.raises(InputError, match="recpca:9:0.5 asks for more components than 50 items x 8 values"):
        view(store, "text", ["recpca:9:0.5"], graph=sp.csr_matrix((N, N)))


def test_uses_graph():
    assert uses_graph(["center", "recpca:3:1"]) and not uses_graph(["center", "pca:3", "zca"]) and not uses_graph([])


def test_cooccurrence_is_in_the_order_of_the_stores_rows(tmp_path):
    """Interactions with items that are not in the store are left out; a row without interactions has no edge."""
    tokens = ["[PAD]", "a", "b", "c", "elsewhere"]
    store = FeatureStore(write_store(tmp_path / "s", ["c", "unused", "a", "b"], {"text": np.ones((4, 2), np.float32)}))
    users, items = np.array([1, 1, 2, 2, 2, 3, 3, 4]), np.array([1, 2, 1, 2, 3, 3, 4, 4])
    graph = cooccurrence_of_rows(store, tokens, users, items, n_users=5).toarray()
    plain = cooccurrence_similarity(users, items, 5, 5, 3.0).toarray()
    internal = [3, 0, 1, 2]
    expected = plain[np.ix_(internal, internal)]
    expected[1], expected[:, 1] = 0, 0
    np.testing.assert_allclose(graph, expected)
    assert graph[2, 3] > graph[0, 2] > 0
