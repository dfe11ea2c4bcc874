"""A tracker that keeps what it gets in a list, in place of MLflow's."""

import importlib.util

import pytest

from recbole_sda.tracking import mlflow_tracker
from recbole_sda.tracking.tracker import Tracker


@pytest.fixture
def kept(monkeypatch):
    """The calls of all trackers; ``kept.fail`` names the one that raises an error."""

    class Kept(list):
        fail = None

    calls = Kept()

    class KeepingTracker(Tracker):
        def _keep(self, name, *values):
            if calls.fail == name:
                raise RuntimeError(f"no answer\nfrom https://me:secret@{'x' * 8} with {'A1' * 20}")
            calls.append((name, *values))

        def start(self, run, known, parent):
            self._keep("start", run, known, parent)
            return known or f"id{len(calls)}"

        def log(self, step, values):
            self._keep("log", step, values)

        def describe(self, step, values, notes):
            self._keep("describe", step, values, notes)

        def end(self, succeeded):
            self._keep("end", succeeded)

    monkeypatch.setattr(mlflow_tracker, "MLflowTracker", KeepingTracker)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: True if name == "mlflow" else found(name, *rest)
    )
    return calls
