"""No file that RecBole would unpickle is unpickled."""

import pickle

import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.recbole_patches.no_pickle import without_pickle


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("pickled code was run",))


def test_arrays_and_weights_of_objects_are_refused_and_plain_ones_read(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.save(tmp_path / "plain.npy", np.arange(3))
    torch.save({"a": Evil()}, tmp_path / "evil.pt")
    torch.save({"a": torch.ones(2)}, tmp_path / "plain.pt")
    with without_pickle():
        with pytest.raises(InputError, match="evil.npy is not a plain array of numbers"):
            np.load(tmp_path / "evil.npy", allow_pickle=True)
        with pytest.raises(InputError, match="evil.pt cannot be read as plain weights"):
            torch.load(tmp_path / "evil.pt", weights_only=False)
        assert np.load(tmp_path / "plain.npy").tolist() == [0, 1, 2]
        assert torch.load(tmp_path / "plain.pt")["a"].tolist() == [1, 1]


def test_a_stored_data_set_is_refused(tmp_path):
    from recbole.data import utils

    (tmp_path / "D-Dataset.pth").write_bytes(pickle.dumps([1]))
    with without_pickle(), open(tmp_path / "D-Dataset.pth", "rb") as file:
        with pytest.raises(InputError, match="D-Dataset.pth is a pickled data set"):
            utils.pickle.load(file)
    with open(tmp_path / "D-Dataset.pth", "rb") as file:
        assert utils.pickle.load(file) == [1]
