"""Parquet files: opened by one function, with every error as one line that names the file."""

from contextlib import contextmanager
from typing import Any, Iterable, Iterator

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.regular_file import PathLike, regular_file


@contextmanager
def open_parquet(path: PathLike) -> Iterator[Any]:
    """Context manager that yields a :class:`pyarrow.parquet.ParquetFile`.

    Raises:
        InputError: the file is missing, is no regular file, or an error of Arrow occurs while it is read in the block.
    """
    import pyarrow
    import pyarrow.parquet

    regular_file(path, "parquet file")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            twice = {name for name in file.schema_arrow.names if file.schema_arrow.names.count(name) > 1}
            if twice:
                raise InputError(f"{path}: the column {min(twice)!r} occurs twice")
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged, or no parquet file ({one_line(error)})") from None


def read_parquet(path: PathLike, columns: Iterable[str] = ()) -> Any:
    """Return a parquet file as a :class:`pyarrow.Table`.

    Args:
        path: of the file.
        columns: that it must have.

    Raises:
        InputError: see :func:`open_parquet`; or a column is missing.
    """
    with open_parquet(path) as file:
        names = file.schema_arrow.names
        for name in columns:
            if name not in names:
                raise InputError(f"{path} has no column {name!r}; it has {', '.join(names)}")
        return file.read()
