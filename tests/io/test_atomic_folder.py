"""Folders that are written as a whole."""

import os
from pathlib import Path

import pytest

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.store_choice import store_names
from recbole_sda.io import atomic_folder as module
from recbole_sda.io.atomic_folder import atomic_folder, folder_lock, remove_drafts, restore_folder


class Killed(BaseException):
    """What stands for a kill."""


def write(path, text):
    with atomic_folder(path) as draft:
        (draft / "sub").mkdir()
        (draft / "sub/a.txt").write_text(text)


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_folder_replaces_the_old_one(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(module, "_exchange", lambda one, other: False)
    for text in ("old", "new"):
        write(tmp_path / "st", text)
        assert (tmp_path / "st/sub/a.txt").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["st"]


def test_a_kill_while_it_is_written_leaves_the_old_one(tmp_path):
    write(tmp_path / "st", "old")
    with pytest.raises(Killed), atomic_folder(tmp_path / "st") as draft:
        (draft / "a.txt").write_text("part")
        raise Killed
    assert (tmp_path / "st/sub/a.txt").read_text() == "old"


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_between_two_renames(tmp_path, monkeypatch, moment):
    """Where names cannot be exchanged: before the first rename, between the two, and before the old folder is removed."""
    write(tmp_path / "st", "old")
    calls = []

    def killed(function):
        def call(*args, **keys):
            calls.append(function)
            if len(calls) >= moment:  # a killed process removes nothing
                raise Killed
            return function(*args, **keys)

        return call

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "_exchange", lambda one, other: False)
        patch.setattr(module.os, "rename", killed(os.rename))
        patch.setattr(module.shutil, "rmtree", killed(module.shutil.rmtree))
        write(tmp_path / "st", "new")
    restore_folder(tmp_path / "st")
    assert (tmp_path / "st/sub/a.txt").read_text() == ("new" if moment == 3 else "old")
    remove_drafts(tmp_path / "st")
    assert [path.name for path in tmp_path.iterdir()] == ["st"]


def test_a_store_of_a_killed_process_is_found_again(tmp_path):
    for name in (".st.replaced", ".other.0123abcd"):
        (tmp_path / "features" / name).mkdir(parents=True)
        (tmp_path / "features" / name / "manifest.json").write_text("{}")
    assert store_names(tmp_path) == ["st"]


def test_a_folder_has_one_writer(tmp_path):
    (tmp_path / ".st.0123abcd").mkdir()
    with folder_lock(tmp_path / "st"):
        assert not (tmp_path / ".st.0123abcd").exists()
        with (
            pytest.raises(InputError, match="st: another process is writing this folder"),
            folder_lock(tmp_path / "st"),
        ):
            pass
    with pytest.raises(InputError, match="expected the name of a new folder"), folder_lock("."):
        pass


def test_the_present_folder_and_the_root_have_nothing_to_restore(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (Path("."), Path("/"), Path("./")):
        restore_folder(path)
    with pytest.raises(InputError, match="manifest.json is missing"):
        FeatureStore(".")
