"""Errors of users and of machines end a command in one line."""

import errno
import os
import subprocess
import sys

import pytest
import torch

from recbole_sda.cli.exit_status import run_command
from recbole_sda.errors import InputError


@pytest.mark.parametrize(
    "error, line",
    [
        (InputError("seed=x: expected a number"), "error: seed=x: expected a number"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b.pt"), "error: a/b.pt: No space left on device"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), "error: x: No such file or directory"),
        (OSError("broken"), "error: broken"),
        (FileExistsError(errno.EEXIST, "File exists", "a.csv"), "error: a.csv: exists already, and is no folder"),
        (RuntimeError("Symlink loop from 'runs/a'"), "error: Symlink loop from 'runs/a'"),
        (
            UnicodeEncodeError("utf-8", "caf\udce9.parquet", 3, 4, "surrogates not allowed"),
            "error: 'caf\\udce9.parquet' has characters that UTF-8 lacks: choose another name",
        ),
        (MemoryError(), "error: not enough memory"),
        (MemoryError("Unable to allocate 8.00 TiB"), "error: not enough memory: Unable to allocate 8.00 TiB"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"),
            "error: not enough memory: CUDA out of memory. Tried",
        ),
    ],
)
def test_one_line_without_a_traceback(capsys, error, line):
    def action():
        raise error

    assert run_command(action) == 2
    assert capsys.readouterr().err == line + "\n"


def test_memory_that_torch_cannot_have(capsys):
    assert run_command(lambda: torch.empty(1 << 60)) == 2
    found = capsys.readouterr().err
    assert found.startswith("error: not enough memory: ") and found.count("\n") == 1


def test_errors_of_the_program_keep_their_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        run_command(lambda: (_ for _ in ()).throw(RuntimeError("a bug")))


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_no_command(closed, tmp_path):
    script = "from recbole_sda.cli.exit_status import run_command; from recbole_sda.io.logs import start_logging; import sys; "
    script += "sys.exit(run_command(lambda: (start_logging(), print('x'), open(sys.argv[1], 'w').write('y'))))"
    command = f'{sys.executable} -c "{script}" {tmp_path}/a.txt {closed}'
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert (tmp_path / "a.txt").read_text() == "y"


def test_characters_that_the_terminal_lacks_are_escaped():
    script = "from recbole_sda.cli.exit_status import run_command; run_command(lambda: print('1 \\u00b1 2'))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1 \\xb1 2\n"


def test_a_working_directory_that_was_removed(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run_command(lambda: print("x")) == 2
    assert capsys.readouterr() == (
        "",
        "error: the working directory does not exist any more: change to another one\n",
    )
