"""Patches that let RecBole 1.2 run on current versions of numpy, scipy and torch, each with the version that ends it.

They run when RecBole's module is imported (see :mod:`recbole_sda.recbole_patches.import_hook`). None of them changes a result.
"""

from contextlib import contextmanager
from types import ModuleType
from typing import Any, Iterator

from recbole_sda.recbole_patches.replace import replace


@contextmanager
def numpy_names(configurator: ModuleType) -> Iterator[None]:
    """``Config.compatibility_settings`` reads ``np.float_``, ``np.complex_`` and ``np.unicode_``, which numpy 2.0 removed.

    The replacement restores the same old names (``np.float``, ``np.int`` and others) from what numpy 2 has.
    Ends with a RecBole that no longer restores these names (1.2.1 still does).
    """
    yield

    def compatibility_settings(self: Any) -> None:
        import numpy as np

        kinds = {"bool": np.bool_, "int": np.int_, "float": np.float64, "complex": np.complex128, "object": np.object_}
        kinds |= {"str": np.str_, "long": np.int_, "unicode": np.str_}
        for name, kind in kinds.items():
            setattr(np, name, kind)

    replace(configurator.Config, "compatibility_settings", compatibility_settings)


@contextmanager
def dok_update(_: ModuleType) -> Iterator[None]:
    """LightGCN, NGCF, SpectralCF and others fill a matrix by ``dok_matrix._update``, which scipy 1.13 removed.

    Ends with a RecBole whose models build their graphs another way (1.2.1 still does not).
    """
    import scipy.sparse as sp

    if not hasattr(sp.dok_matrix, "_update"):

        def _update(self: Any, data: Any) -> None:
            self._dict.update(data)

        sp.dok_matrix._update = _update
    yield


@contextmanager
def pickled_checkpoints(trainer: ModuleType) -> Iterator[None]:
    """RecBole's trainer reads its own checkpoints by ``torch.load``, which refuses pickled objects since torch 2.6.

    The trainer's module gets a ``torch`` whose ``load`` reads them; ``torch.load`` itself is unchanged. This concerns RecBole's
    own trainer only: checkpoints of this package hold no pickled objects.
    Ends with a RecBole that passes ``weights_only=False``.
    """
    yield
    replace(trainer, "torch", _TorchThatUnpickles(trainer.torch))


class _TorchThatUnpickles:
    """``torch`` with a ``load`` that accepts pickled objects unless it is told otherwise."""

    def __init__(self, torch: Any):
        self._torch = torch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)

    def load(self, *args: Any, weights_only: bool = False, **keys: Any) -> Any:
        return self._torch.load(*args, weights_only=weights_only, **keys)


@contextmanager
def anomaly_detection_unchanged(_: ModuleType) -> Iterator[None]:
    """RecBole's file of SINE turns on autograd's anomaly detection for the whole process, which slows every step.

    Its state is restored after the import. Ends with a RecBole whose ``sine.py`` leaves it alone (1.2.1 still does not).
    """
    import torch

    enabled = torch.is_anomaly_enabled()
    yield
    torch.autograd.set_detect_anomaly(enabled)
