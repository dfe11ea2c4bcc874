"""The scripts of benchmarks/ as modules."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """A function: name of a script -> its module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module
