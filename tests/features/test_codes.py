"""Residual codes: what each level adds, equal vectors, new vectors, and what their cache depends on."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

from recbole_sda.errors import InputError
from recbole_sda.features.codes import ResidualCodes, cached_residual_codes, residual_codes


@pytest.fixture
def vectors() -> torch.Tensor:
    """Ninety vectors in nine groups: three far apart, each of three near ones."""
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(3, 1, 5, generator=generator) + 2 * torch.randn(3, 3, 5, generator=generator)
    return (centres.reshape(9, 5).repeat(10, 1) + 0.1 * torch.randn(90, 5, generator=generator)).float()


def reconstruction(result: ResidualCodes) -> torch.Tensor:
    """The sum of the chosen centroids, (n, dim)."""
    return sum(table[result.codes[:, level]] for level, table in enumerate(result.centroids))


def test_shapes_and_error_of_each_level(vectors):
    result = residual_codes(vectors, [3, 4, 5], seed=0)
    assert result.codes.shape == (90, 3) and result.codes.dtype == torch.int64
    assert [tuple(table.shape) for table in result.centroids] == [(3, 5), (4, 5), (5, 5)]
    assert all(table.dtype == torch.float32 for table in result.centroids)
    assert [int(result.codes[:, level].max()) for level in range(3)] == [2, 3, 4] and result.codes.min() == 0
    assert (result.errors.diff() < 0).all()
    torch.testing.assert_close(
        result.errors[-1].item(),
        (vectors - reconstruction(result)).square().sum(dim=1).mean().item(),
        rtol=1e-4,
        atol=1e-6,
    )


def test_groups_are_found(vectors):
    result = residual_codes(vectors, [3], seed=0)
    group = torch.arange(90) % 9 // 3
    assert len({(int(a), int(b)) for a, b in zip(result.codes[:, 0], group)}) == 3
    first = vectors[result.codes[:, 0] == 0].mean(dim=0)
    torch.testing.assert_close(result.centroids[0][0], first, rtol=1e-4, atol=1e-4)


def test_repeated_vectors_count_as_often_as_they_occur():
    values = torch.tensor([[0.0]] * 9 + [[1.0], [10.0]])
    result = residual_codes(values, [2], seed=0)
    assert sorted(result.centroids[0].flatten().tolist()) == pytest.approx([0.1, 10.0])
    assert result.errors.tolist() == pytest.approx([0.9 / 11])


def test_equal_vectors_have_equal_codes(vectors):
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    twice = torch.cat([vectors, vectors[order]])
    codes = residual_codes(twice, [3, 4], seed=0).codes
    assert torch.equal(codes[90:], codes[:90][order])


def test_new_vectors_are_encoded_by_the_fitted_centroids(vectors, monkeypatch):
    result = residual_codes(vectors, [3, 4], seed=0)
    assert torch.equal(result.encode(vectors), result.codes)
    monkeypatch.setattr("recbole_sda.features.codes.BLOCK_ROWS", 7)
    assert torch.equal(result.encode(vectors), result.codes)
    assert torch.equal(result.encode(vectors[5:6] + 1e-4), result.codes[5:6])
    with pytest.raises(InputError, match="residual codes: vectors have 4 values, but 5 where they were fitted"):
        result.encode(vectors[:, :4])
    with pytest.raises(InputError, match="residual codes: vector 0 has values that are not finite"):
        result.encode(vectors[:1] * torch.inf)


def test_a_seed_decides_the_codes(vectors):
    noise = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    first = residual_codes(noise, [8, 8], seed=1)
    assert torch.equal(residual_codes(noise, [8, 8], seed=1).codes, first.codes)
    assert not torch.equal(residual_codes(noise, [8, 8], seed=2).codes, first.codes)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    assert torch.equal(residual_codes(noise[order], [8, 8], seed=1).codes, first.codes[order])


def test_clustering_uses_one_thread_whatever_is_allowed(vectors, monkeypatch):
    """With several, the order of sums and so the centroids would differ between calls."""
    used, plain = [], KMeans.fit

    def counting(self, *args, **kwargs):
        used.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp")
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(KMeans, "fit", counting)
    with threadpool_limits(2):
        residual_codes(vectors, [3, 4], seed=0)
    assert used and set(used) == {1}


@pytest.mark.parametrize(
    "sizes, message",
    [
        ([], "residual codes: no level"),
        ([3, 0], "size of level 2=0: expected a whole number at least 1"),
        ([2.5], "size of level 1=2.5: expected a whole number at least 1"),
        ([5], "residual codes: level 1 has size 5, but there are only 4 distinct vectors"),
        ([4, 2], "residual codes: level 2 has size 2, but there is only 1 distinct residual"),
    ],
)
def test_sizes_that_cannot_be_used(sizes, message):
    vectors = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [2.0, 2.0], [4.0, 4.0]])
    with pytest.raises(InputError, match=message):
        residual_codes(vectors, sizes, seed=0)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_vectors_that_are_not_finite(vectors, value):
    vectors[4, 2] = value
    with pytest.raises(InputError, match="residual codes: vector 4 has values that are not finite"):
        residual_codes(vectors, [3], seed=0)


def test_the_cache_depends_on_vectors_sizes_and_seed(vectors, tmp_path, monkeypatch):
    first = cached_residual_codes(tmp_path / "codes", vectors, [3, 4], seed=0)
    files = list((tmp_path / "codes").iterdir())
    assert len(files) == 1
    for sizes, seed in (([4, 3], 0), ([3, 4], 1), ([3, 4, 2], 0)):
        cached_residual_codes(tmp_path / "codes", vectors, sizes, seed)
    cached_residual_codes(tmp_path / "codes", vectors.flip(0), [3, 4], seed=0)
    assert len(list((tmp_path / "codes").iterdir())) == 5
    monkeypatch.setattr("recbole_sda.features.codes.residual_codes", None)
    again = cached_residual_codes(tmp_path / "codes", vectors, [3, 4], seed=0)
    assert torch.equal(again.codes, first.codes) and torch.equal(again.errors, first.errors)
    assert all(torch.equal(a, b) for a, b in zip(again.centroids, first.centroids, strict=True))
    assert torch.equal(again.encode(vectors), first.codes)


def test_no_folder_caches_nothing(vectors):
    plain = residual_codes(vectors, [3], seed=0)
    assert torch.equal(cached_residual_codes(None, vectors, [3], seed=0).codes, plain.codes)


def test_half_precision_vectors_are_accepted(vectors):
    half = vectors.half()
    assert torch.equal(residual_codes(half, [3], 0).codes, residual_codes(half.float(), [3], 0).codes)
    assert np.isfinite(residual_codes(half, [3], 0).errors.numpy()).all()
