"""Files that are written as a whole, and errors of a disk."""

import errno
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from recbole_sda.errors import InputError
from recbole_sda.io import atomic_write as module
from recbole_sda.io.atomic_write import (
    append_line,
    atomic_write,
    named_errors,
    remove_file_drafts,
    write_lines,
    write_text,
)
from recbole_sda.io.checkpoint import save_checkpoint


class Killed(BaseException):
    """What stands for a kill: no handler of errors sees it."""


def test_a_reader_finds_the_old_content_or_the_new_one(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old\n")

    def lines():
        yield "new\n"
        assert path.read_text() == "old\n"
        raise Killed

    with pytest.raises(Killed):
        write_lines(path, lines())
    assert path.read_text() == "old\n"
    write_text(path, "new\r\n")
    assert path.read_bytes() == b"new\r\n" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_written_is_on_the_disk_before_it_is_in_place(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda number: calls.append("fsync"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("replace"), replace(*names)))
    write_text(tmp_path / "a", "x")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_names_the_file(tmp_path, error):
    with pytest.raises(OSError) as caught, atomic_write(tmp_path / "a.pt") as draft:
        draft.write_text("part")
        raise error
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "a.pt")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_stay_as_they_are(tmp_path):
    for error in (
        RuntimeError("a bug"),
        FileNotFoundError(errno.ENOENT, "gone", "other.txt"),
        OSError("connection closed"),
    ):
        with pytest.raises(type(error)) as caught, named_errors(tmp_path / "a"):
            raise error
        assert caught.value is error


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")
def test_real_errors_of_a_full_disk(tmp_path, monkeypatch):
    """Each library writes to /dev/full, on which every write fails."""
    monkeypatch.setattr(module.uuid, "uuid4", lambda: type("Id", (), {"hex": "0" * 8}))
    os.symlink("/dev/full", tmp_path / ".a.pt.00000000")
    with pytest.raises(OSError, match="No space left") as caught:
        save_checkpoint(tmp_path / "a.pt", {"x": torch.ones(1 << 20)})
    assert caught.value.filename == str(tmp_path / "a.pt")
    os.symlink("/dev/full", tmp_path / "log.jsonl")
    with pytest.raises(OSError, match="No space left.*log.jsonl"), named_errors(tmp_path / "log.jsonl"):
        with open(tmp_path / "log.jsonl", "w") as file:
            file.write("x")


def test_appended_lines_after_a_kill_within_a_line(tmp_path):
    path = tmp_path / "h.jsonl"
    append_line(path, "é1")
    append_line(path, "2")
    assert path.read_text(encoding="utf-8") == "é1\n2\n"
    with open(path, "a") as file:
        file.write("3 cut sho")
    append_line(path, "4")
    assert path.read_text(encoding="utf-8") == "é1\n2\n4\n"
    path.write_text("cut")
    append_line(path, "5")
    assert path.read_text() == "5\n"


def test_errors_that_name_no_file(tmp_path):
    """Numpy's has no number, that of TensorBoard no file."""
    for error in (OSError("92224 requested and 992 written"), OSError(28, "No space left on device")):
        with pytest.raises(OSError) as caught, named_errors(tmp_path):
            raise error
        assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path))


def test_unfinished_files_are_removed(tmp_path):
    for name in (".a.json.0123abcd", ".lock", "a.json"):
        (tmp_path / name).touch()
    remove_file_drafts(tmp_path, tmp_path / "gone")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a.json"]


def test_a_pipe_or_a_folder_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("."), Path("/")):
        with pytest.raises(InputError, match="no regular file"):
            write_text(path, "x")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode) and os.listdir(tmp_path) == ["pipe"]
