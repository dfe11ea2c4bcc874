"""The store that a run reads: named, alone, or the default."""

import shutil

import numpy as np
import pytest

from recbole_sda.cli.main import main
from recbole_sda.errors import InputError
from recbole_sda.features.store_choice import default_store, set_default, store_names, store_path
from recbole_sda.features.writer import write_store


@pytest.fixture
def add(tmp_path):
    """A function: name -> a new store of the data set in ``tmp_path``."""

    def write(name, **more):
        return write_store(tmp_path / "features" / name, ["a", "b"], {"text": np.ones((2, 3), np.float32)}, **more)

    return write


def test_a_later_store_changes_no_run(add, tmp_path, caplog):
    caplog.set_level("INFO")
    add("light")
    assert default_store(tmp_path) == "light" and not caplog.records
    add("demo")
    assert store_path(tmp_path).name == "light" and store_path(tmp_path, "demo").name == "demo"
    assert f"{tmp_path.name} has the stores demo, light; runs read light" in caplog.text
    add("demo", overwrite=True)
    assert store_path(tmp_path).name == "light" and store_names(tmp_path) == ["demo", "light"]


def test_the_store_of_an_earlier_version_stays_the_default(add, tmp_path):
    add("light")
    (tmp_path / "features/default.txt").unlink()
    add("a")
    assert store_path(tmp_path).name == "light"


def test_several_stores_without_a_default(add, tmp_path, capsys):
    add("light"), add("other")
    shutil.rmtree(tmp_path / "features/light")
    assert store_path(tmp_path).name == "other"  # the only one
    (tmp_path / "features/default.txt").unlink()
    shutil.copytree(tmp_path / "features/other", tmp_path / "features/copy")
    with pytest.raises(
        InputError, match="several feature stores .copy, other. and none is the default.*--features=NAME"
    ):
        store_path(tmp_path)
    add("third")
    assert default_store(tmp_path) is None
    assert main(["features", "default", str(tmp_path / "features/copy")]) == 0
    assert store_path(tmp_path).name == "copy" and "runs read copy" in capsys.readouterr().out


def test_what_is_no_store(add, tmp_path):
    path = write_store(tmp_path / "elsewhere", ["a"], {"text": np.ones((1, 3), np.float32)})
    assert not (tmp_path / "default.txt").exists()
    for wrong in (path, tmp_path / "features/none"):
        with pytest.raises(InputError, match="expected a feature store"):
            set_default(wrong)
