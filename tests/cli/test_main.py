"""The command line as a whole: commands, version, how they end."""

import subprocess
import sys

import pytest

import recbole_sda
from recbole_sda.cli.main import COMMANDS, main


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"recbole_sda {recbole_sda.__version__}\n"


def test_unknown_command(capsys):
    with pytest.raises(SystemExit) as done:
        main(["feature"])
    assert done.value.code == 2 and "invalid choice: 'feature'" in capsys.readouterr().err


def test_the_command_is_named_as_it_was_typed():
    done = subprocess.run([sys.executable, "-m", "recbole_sda", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("usage: python -m recbole_sda ")


def test_ctrl_c_while_a_command_is_imported(monkeypatch, capsys):
    def import_module(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole_sda.cli.main.import_module", import_module)
    assert main(["recommend", "run"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
