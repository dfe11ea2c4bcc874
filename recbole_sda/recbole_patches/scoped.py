"""Changes of RecBole that hold inside a ``with`` block, each with the version that ends it."""

import csv
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Iterator

from recbole_sda.recbole_patches.replace import replaced

NOT_A_NUMBER = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>")


class _PandasForAtomicFiles:
    """pandas with a ``read_csv`` for RecBole's atomic files: ids stay as they are written, quotation marks are characters."""

    def __init__(self, pandas: Any):
        self._pandas = pandas

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pandas, name)

    def read_csv(self, *args: Any, dtype: Any, **keys: Any) -> Any:
        missing = {name: [""] if kind is str else list(NOT_A_NUMBER) for name, kind in dtype.items()}
        options = {"na_values": missing, "keep_default_na": False, "quoting": csv.QUOTE_NONE}
        return self._pandas.read_csv(*args, dtype=dtype, **options, **keys)


@contextmanager
def ids_as_written() -> Iterator[None]:
    """Context manager in which RecBole reads ids such as ``NA``, ``null`` and ``nan`` as ids.

    Otherwise it takes them for missing values, as pandas does by default, and drops their interactions. It also takes quotation
    marks, which atomic files do not have, for the limits of a field, and refuses fields of more than 131,072 characters. Only
    RecBole's own data set module is affected.
    Ends with a RecBole whose ``Dataset._load_feat`` names the missing values (1.2.1 still does not).
    """
    from recbole.data.dataset import dataset

    limit = csv.field_size_limit(2**31 - 1)
    try:
        with replaced(dataset, "pd", _PandasForAtomicFiles(dataset.pd)):
            yield
    finally:
        csv.field_size_limit(limit)


@contextmanager
def base_model_name(config: Any, name: str) -> Iterator[None]:
    """Context manager in which ``config["model"]`` is the base model's name.

    RecBole chooses the classes of data set, dataloader and trainer by that name.
    Ends with a RecBole that asks the model class instead (1.2.1 still goes by name).
    """
    own = config["model"]
    config["model"] = name
    try:
        yield
    finally:
        config["model"] = own


class _LateWriter:
    """A SummaryWriter of a folder that is made when the first value is written: a run that is only read stays as it is."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder))

    def add_scalar(self, *values: Any) -> None:
        self.writer.add_scalar(*values)

    def add_hparams(self, *values: Any) -> None:
        self.writer.add_hparams(*values)

    def close(self) -> None:
        """Write what is left; nothing where no value was written."""
        if "writer" in vars(self):
            self.writer.close()


@contextmanager
def tensorboard_folder(folder: Any) -> Iterator[None]:
    """Context manager in which RecBole's Trainer writes TensorBoard events to ``folder``, which is made with the first value.

    Otherwise it writes to ``log_tensorboard/`` of the working directory.
    Ends with a RecBole that takes the folder from the configuration.
    """
    from recbole.trainer import trainer

    with replaced(trainer, "get_tensorboard", lambda logger: _LateWriter(Path(folder))):
        yield


@contextmanager
def data_parallel_on(device: Any) -> Iterator[None]:
    """Context manager in which RecBole's Trainer also wraps models for data-parallel training on the CPU.

    Buffers are not broadcast: they are the same in all processes, and item features would be sent again for every batch.
    Ends with a RecBole that omits ``device_ids`` where there is no GPU, and leaves ``broadcast_buffers`` to the caller.
    """
    from recbole.trainer import trainer

    wrapped = trainer.DistributedDataParallel

    def wrap(model: Any, device_ids: Any = None) -> Any:
        return wrapped(model, device_ids=None if device.type == "cpu" else device_ids, broadcast_buffers=False)

    with replaced(trainer, "DistributedDataParallel", wrap):
        yield
