"""Checkpoints hold plain data only."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import from_plain, load_checkpoint, save_checkpoint, to_plain


def test_round_trip(tmp_path):
    matrix = sp.random(5, 4, 0.4, format="coo", random_state=0)
    state = {
        "epoch": np.int64(3),
        "score": np.float64(0.5),
        "weights": {"w": torch.arange(3.0)},
        "counts": np.arange(4),
        "history": [(1, 0.5), (2, None)],
        "graph": matrix,
        "layer": {"linear": torch.nn.Linear(2, 2), "kept": 1},
    }
    save_checkpoint(tmp_path / "deep" / "c.pt", state)
    back = from_plain(load_checkpoint(tmp_path / "deep" / "c.pt"))
    assert back["epoch"] == 3 and torch.equal(back["weights"]["w"], torch.arange(3.0))
    assert isinstance(back["counts"], np.ndarray) and back["counts"].tolist() == [0, 1, 2, 3]
    assert back["history"] == [[1, 0.5], [2, None]]
    assert (back["graph"] != matrix.tocsr()).nnz == 0 and back["layer"] == {"kept": 1}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["c.pt"]


def test_what_numpy_reads_stays_off_the_device():
    """Models on a GPU get their tensors there, ItemKNN's matrices and EASE's arrays where scipy works."""
    state = to_plain(
        {"cnt": torch.ones(2), "w": sp.eye(2, format="csr"), "similarity": np.eye(2), "m": [torch.ones(1)]}
    )
    back = from_plain(state, "meta")
    assert back["cnt"].device.type == back["m"][0].device.type == "meta"
    assert back["w"].nnz == 2 and back["similarity"].tolist() == [[1, 0], [0, 1]]


def test_what_is_not_plain_is_refused_with_its_place():
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\] is a set"):
        to_plain({"a": [1, {2}]}, "state")


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickled_code_is_not_executed(tmp_path, capsys):
    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="holds pickled objects, which are not loaded"):
        load_checkpoint(tmp_path / "evil.pt")
    with open(tmp_path / "plain.pt", "wb") as file:
        pickle.dump(Evil(), file)
    with pytest.raises(InputError):
        load_checkpoint(tmp_path / "plain.pt")
    assert "executed" not in capsys.readouterr().out


def test_missing_and_damaged(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_checkpoint(tmp_path / "none.pt")
    save_checkpoint(tmp_path / "c.pt", {"w": torch.zeros(1000)})
    whole = (tmp_path / "c.pt").read_bytes()
    (tmp_path / "c.pt").write_bytes(whole[:1500])
    with pytest.raises(InputError, match="c.pt is damaged"):
        load_checkpoint(tmp_path / "c.pt")
