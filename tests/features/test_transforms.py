"""Transforms: what each step computes, on which items it is fitted, and what its cache depends on."""

import tracemalloc

import numpy as np
import pytest
import scipy.linalg
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.features.transforms import parse_steps, view, view_of_others


@pytest.fixture
def wide(tmp_path) -> FeatureStore:
    """A store of forty items with correlated values, a tenth of them missing."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + 5).astype(np.float32)
    path = write_store(tmp_path / "wide", [str(k) for k in range(40)], {"text": x}, {"text": np.arange(40) % 10 != 3})
    return FeatureStore(path)


def test_no_steps_give_the_vectors(wide):
    assert torch.equal(view(wide, "text", []), wide.matrix("text"))


def test_center_and_l2_over_the_items_that_have_the_modality(wide):
    present = wide.present("text")
    x = wide.matrix("text")[present]
    centred = view(wide, "text", ["center"])
    torch.testing.assert_close(centred[present], x - x.mean(0), rtol=1e-4, atol=1e-5)
    both = view(wide, "text", ["center", "l2"])
    torch.testing.assert_close(both[present].norm(dim=1), torch.ones(len(x)))
    assert not centred[~present].any() and not both[~present].any()


def test_the_default_steps_need_little_more_memory_than_the_vectors(tmp_path):
    x = np.random.default_rng(0).normal(size=(4000, 256)).astype(np.float16)
    store = FeatureStore(write_store(tmp_path / "s", [str(k) for k in range(4000)], {"text": x}))
    tracemalloc.start()
    view(store, "text", ["center", "l2"], cache=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * x.astype(np.float32).nbytes


def test_pca_keeps_the_leading_components(wide):
    present = wide.present("text")
    x = wide.matrix("text")[present].double()
    values = torch.linalg.svdvals(x - x.mean(0))
    reduced = view(wide, "text", ["pca:3"])[present].double()
    assert reduced.shape == (len(x), 3)
    torch.testing.assert_close(torch.linalg.svdvals(reduced), values[:3], rtol=1e-5, atol=1e-5)


def test_whitening_gives_unit_covariance(wide):
    white = view(wide, "text", ["whiten:4"])[wide.present("text")]
    torch.testing.assert_close(torch.cov(white.T), torch.eye(4), rtol=1e-4, atol=1e-4)


def test_cache_is_read_back_and_keyed_by_steps_and_content(wide, tmp_path):
    first = view(wide, "text", ["pca:2"])
    files = set((wide.path / "views").iterdir())
    assert len(files) == 1
    assert torch.equal(view(wide, "text", ["pca:2"]), first)
    assert set((wide.path / "views").iterdir()) == files
    view(wide, "text", ["pca:3"])
    assert len(list((wide.path / "views").iterdir())) == 2
    changed = wide.matrix("text").numpy() * 2
    write_store(wide.path, wide.item_ids, {"text": changed}, {"text": wide.present("text").numpy()}, overwrite=True)
    torch.testing.assert_close(
        view(FeatureStore(wide.path), "text", ["pca:2"]).abs(), 2 * first.abs(), rtol=1e-4, atol=1e-4
    )


def test_a_damaged_cache_is_computed_again(wide):
    first = view(wide, "text", ["l2"])
    path = next((wide.path / "views").iterdir())
    path.write_bytes(path.read_bytes()[:50])
    assert torch.equal(view(wide, "text", ["l2"]), first)


def test_a_folder_that_cannot_be_written_is_a_warning(wide, caplog):
    (wide.path / "views").write_text("in the way")
    assert view(wide, "text", ["l2"]).any()
    assert "could not be written" in caplog.text


def slow_zca(x, groups):
    """ZCA of each group by its definition: (x - mean) C^-1/2, with the root by scipy."""
    parts = []
    for columns in np.array_split(np.arange(x.shape[1]), groups):
        part = x[:, columns] - x[:, columns].mean(axis=0)
        covariance = part.T @ part / (len(part) - 1)
        parts.append(part @ scipy.linalg.inv(scipy.linalg.sqrtm(covariance)))
    return np.hstack(parts)


@pytest.mark.parametrize("step, sizes", [("zca", [6]), ("zca:1", [6]), ("zca:2", [3, 3]), ("zca:4", [2, 2, 1, 1])])
def test_zca_whitens_each_group_and_keeps_its_axes(wide, step, sizes):
    present = wide.present("text")
    white = view(wide, "text", [step])
    assert white.shape == (40, 6) and not white[~present].any()
    rows, x = white[present], wide.matrix("text")[present].double().numpy()
    torch.testing.assert_close(rows.double().numpy(), slow_zca(x, len(sizes)), rtol=1e-4, atol=1e-4)
    for group in rows.split(sizes, dim=1):
        torch.testing.assert_close(
            torch.atleast_2d(torch.cov(group.T)), torch.eye(group.shape[1]), rtol=1e-4, atol=1e-4
        )


def test_zca_in_groups_keeps_correlations_between_groups(wide):
    rows = view(wide, "text", ["zca:2"])[wide.present("text")]
    assert torch.cov(rows.T)[:3, 3:].abs().max() > 0.1


def test_zca_maps_directions_without_variance_to_zero(tmp_path):
    """A constant value, and one that repeats another, are not divided by rounding errors."""
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    x[:, 3], x[:, 1] = 0.3, x[:, 0]
    store = FeatureStore(write_store(tmp_path / "s", [str(k) for k in range(30)], {"text": x}))
    white = view(store, "text", ["zca"])
    expected = torch.tensor([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(torch.cov(white.T), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "step, message",
    [
        ("zca:7", "wide, modality 'text': zca:7 asks for more groups than 6 values"),
        ("zca:1", "wide, modality 'text': zca:1 needs more than 6 items, the width of its groups, and there are 6"),
    ],
)
def test_zca_that_the_items_do_not_allow(wide, tmp_path, step, message):
    store = wide
    if step == "zca:1":
        few = 1 + wide.matrix("text")[10:16].numpy()
        store = FeatureStore(write_store(tmp_path / "few/wide", list("abcdef"), {"text": few}))
    with pytest.raises(InputError, match=message):
        view(store, "text", [step])


@pytest.mark.parametrize(
    "step",
    [
        "centre",
        "pca",
        "pca:0",
        "pca:x",
        "l2:3",
        "whiten:-1",
        "",
        "zca:0",
        "zca:2:1",
        "recpca:3",
        "recpca:3:x",
        "recpca:0:1",
    ]
    + ["recpca:3:-1", "recpca:3:nan", "recpca:3:inf", "recpca:3:1:2", "pca:3:1"],
)
def test_malformed_steps(step):
    allowed = (
        "allowed are center, l2, pca:D, whiten:D, zca, zca:G and recpca:D:GAMMA, with D >= 1, G >= 1 and GAMMA >= 0"
    )
    with pytest.raises(InputError, match=f"feature_views: {step!r} is not a view; {allowed}"):
        parse_steps([step])


def test_steps_are_parsed_with_their_numbers():
    assert parse_steps(["l2", "zca", "zca:4", "recpca:8:0.5"]) == [
        ("l2", 0, 0.0), ("zca", 1, 0.0), ("zca", 4, 0.0), ("recpca", 8, 0.5)
    ]  # fmt: skip


def test_more_components_than_values(wide):
    with pytest.raises(InputError, match="pca:7 asks for more components than 36 items x 6 values"):
        view(wide, "text", ["pca:7"])


@pytest.mark.parametrize("steps", [[], ["center", "l2"], ["pca:3"], ["whiten:3", "l2"], ["zca:2", "l2"]])
def test_new_items_get_the_transforms_fitted_on_the_first_store(wide, tmp_path, steps):
    rows = [7, 3, 12]  # 3 has no vector
    x, present = wide.matrix("text")[rows].numpy(), wide.present("text")[rows].numpy()
    later = FeatureStore(write_store(tmp_path / "later", ["x", "y", "z"], {"text": x}, {"text": present}))
    transformed = view_of_others(wide, later, "text", steps)
    assert transformed.dtype == torch.float32
    torch.testing.assert_close(transformed, view(wide, "text", steps)[rows], rtol=1e-4, atol=1e-5)


def test_new_items_of_another_width_are_refused(wide, tmp_path):
    narrow = write_store(tmp_path / "narrow", ["x"], {"text": np.ones((1, 4), np.float32)}, {})
    with pytest.raises(InputError, match="narrow: text has 4 values, but 6 in .*wide"):
        view_of_others(wide, FeatureStore(narrow), "text", [])
