"""Every work-around for the versions of RecBole and of what it stands on, each with the version that ends it.

``apply()`` is called before RecBole is imported and may be called again. Nothing here changes a result, but where RecBole loses
interactions (:func:`ids_as_written`).
"""

import contextlib
import csv
import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp

NO_NUMBER = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>")


def restore_numpy_aliases() -> None:
    """RecBole's Config reads ``np.float_``, ``np.complex_`` and ``np.unicode_``, which numpy 2.0 removed.

    Ends with a RecBole whose ``Config.compatibility_settings`` no longer reads them (1.2.1 still does).
    """
    for name, kind in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        if name not in np.__dict__:
            setattr(np, name, kind)


def restore_dok_update() -> None:
    """LightGCN, NGCF, SpectralCF and others fill a matrix by ``dok_matrix._update``, which scipy 1.13 removed.

    Ends with a RecBole whose models build their graphs another way (1.2.1 still does not).
    """
    if not hasattr(sp.dok_matrix, "_update"):

        def _update(self, data):
            self._dict.update(data)

        sp.dok_matrix._update = _update


def silence_deprecations() -> None:
    """RecBole 1.2 uses pandas, numpy and torch calls that warn on every run; they are not the user's to mend.

    Ends with a RecBole that does not use ``torch.cuda.amp.GradScaler``, chained assignment and ``Series.append``.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(recbole|torch)\.")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", message=".*torch.sparse.SparseTensor.*|.*GradScaler.*CUDA is not available.*")
    warnings.filterwarnings("ignore", message=".*Sparse invariant checks.*|.*should be avoided.*", category=UserWarning)


@contextlib.contextmanager
def ids_as_written():
    """RecBole reads ids such as NA, null and nan as missing, pandas' defaults, and drops their interactions; inside, they are ids.

    It also takes quotation marks, which atomic files do not have, for the limits of a field: inside, they are characters.

    Ends with a RecBole whose ``Dataset._load_feat`` says what is missing (1.2.1 still does not).
    """
    own = pd.read_csv

    def read_csv(*args, dtype, **keys):
        missing = {name: [""] if kind is str else list(NO_NUMBER) for name, kind in dtype.items()}
        return own(*args, dtype=dtype, na_values=missing, keep_default_na=False, quoting=csv.QUOTE_NONE, **keys)

    pd.read_csv = read_csv
    try:
        yield
    finally:
        pd.read_csv = own


def stop_anomaly_detection() -> None:
    """RecBole imports SINE with every sequential model, whose file turns on autograd's anomaly detection for the process.

    It slows every step and prints a warning with a traceback when a backward pass is interrupted. Called after a
    model was imported. Ends with a RecBole whose ``sine.py`` leaves ``set_detect_anomaly`` alone (1.2.1 still does not).
    """
    import torch

    torch.autograd.set_detect_anomaly(False)


def apply() -> None:
    """Apply all work-arounds."""
    restore_numpy_aliases()
    restore_dok_update()
    silence_deprecations()


@contextlib.contextmanager
def base_model_name(config, name: str):
    """RecBole chooses data set, dataloader and trainer classes by ``config["model"]``; inside, it reads the base's name.

    Ends with a RecBole that asks the model class instead (1.2.1 still goes by name).
    """
    own = config["model"]
    config["model"] = name
    try:
        yield
    finally:
        config["model"] = own


@contextlib.contextmanager
def tensorboard_folder(folder):
    """RecBole's Trainer writes TensorBoard events to ``log_tensorboard/`` of the working directory; inside, to ``folder``.

    Ends with a RecBole that takes the folder from the configuration.
    """
    from recbole.trainer import trainer
    from torch.utils.tensorboard import SummaryWriter

    own = trainer.get_tensorboard
    trainer.get_tensorboard = lambda logger: SummaryWriter(str(folder))
    try:
        yield
    finally:
        trainer.get_tensorboard = own


@contextlib.contextmanager
def data_parallel_on(device):
    """RecBole's Trainer wraps models for data-parallel training on GPUs alone; inside, also on the CPU.

    Buffers are not sent around: they are the same in all processes, and features would be sent anew for every batch.
    Ends with a RecBole that leaves ``device_ids`` out where there is no GPU, and ``broadcast_buffers`` to the caller.
    """
    from recbole.trainer import trainer

    own = trainer.DistributedDataParallel

    def wrap(model, device_ids=None):
        return own(model, device_ids=None if device.type == "cpu" else device_ids, broadcast_buffers=False)

    trainer.DistributedDataParallel = wrap
    try:
        yield
    finally:
        trainer.DistributedDataParallel = own
