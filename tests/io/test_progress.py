import io
import logging
import sys

import pytest

from recbole_sda.io import progress
from recbole_sda.io.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(**more):
    with Progress(3000, "images", "files", **more) as bar:
        for _ in range(3):
            bar.update(1000, {"loss": "0.5"})


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work()
    assert "images: 100%" in terminal.getvalue()


@pytest.mark.parametrize("period, n_lines", [(0.0, 3), (1000.0, 0)])
def test_lines_in_a_log(monkeypatch, caplog, capsys, period, n_lines):
    monkeypatch.setattr(progress, "PERIOD", period)
    with caplog.at_level(logging.INFO):
        work()
    assert [record.getMessage() for record in caplog.records][:1] == ["images: 1,000 of 3,000 files"][:n_lines]
    assert len(caplog.records) == n_lines and capsys.readouterr().err == ""


def test_nothing_in_other_processes(monkeypatch, caplog):
    monkeypatch.setattr(progress, "PERIOD", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work(shown=False)
    assert terminal.getvalue() == "" and not caplog.records
