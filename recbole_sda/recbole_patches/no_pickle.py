"""RecBole's reading of pickled files: none is read inside a ``with`` block, because pickled data can run any program.

RecBole unpickles a stored data set beside its checkpoints, pretrained weights that a key names, and the item vectors of LDiffRec.
"""

import pickle
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Iterator

import numpy as np
import torch

from recbole_sda.errors import InputError
from recbole_sda.recbole_patches.replace import replaced


@contextmanager
def without_pickle() -> Iterator[None]:
    """Context manager in which a file that holds pickled objects is an InputError that names the file.

    Ends with a RecBole that loads plain data only (1.2.1 still unpickles).
    """
    from recbole.data import utils

    load_array, load_weights = np.load, torch.load

    def load_plain_array(file: Any, *args: Any, **keys: Any) -> Any:
        try:
            return load_array(file, **{**keys, "allow_pickle": False})
        except (ValueError, EOFError) as error:
            raise InputError(f"{file} is not a plain array of numbers, as numpy.save writes it ({error})") from None

    def load_plain_weights(file: Any, *args: Any, **keys: Any) -> Any:
        try:
            return load_weights(file, *args, **{**keys, "weights_only": True})
        except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
            reason = "it holds pickled objects" if isinstance(error, pickle.UnpicklingError) else str(error)
            raise InputError(f"{file} cannot be read as plain weights ({' '.join(reason.split())[:200]})") from None

    def refuse(file: Any) -> Any:
        raise InputError(f"{file.name} is a pickled data set, which is not loaded; remove it")

    with (
        replaced(np, "load", load_plain_array),
        replaced(torch, "load", load_plain_weights),
        replaced(utils, "pickle", SimpleNamespace(load=refuse, dump=pickle.dump)),
    ):
        yield
