"""Malformed records of runs and comparisons, through the whole report: refused in one line with the file, or shown."""

import json
import random

import pytest
from malformed import other_objects

from recbole_sda.comparison.compare import compare
from recbole_sda.comparison.tables import COMPARISON, read_comparison, to_latex, to_markdown
from recbole_sda.engine.run_folder import METRICS
from recbole_sda.report.report import write_report

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def compared(short_keys, tmp_path_factory):
    """The folder of a comparison of two models."""
    out = tmp_path_factory.mktemp("compared")
    plan = {
        "datasets": ["tiny"],
        "seeds": [1],
        "models": {"BPR": {}, "LightGCN": {"base": "BPR"}},
        "metrics": ["hit@5"],
    }
    compare({**plan, "keys": {**short_keys, "epochs": 1}}, out)
    return out


def cases(path, n):
    sound = json.loads(path.read_text())
    drawn = random.Random(1).sample(list(other_objects(sound)), n)
    return [
        (name, value) for name, value in drawn if "runs." not in name
    ]  # a run folder that is missing is another error


def test_tables_of_odd_comparisons(compared, outcomes):
    path = compared / COMPARISON
    sound = path.read_text()

    def read():
        comparison = read_comparison(path)
        to_markdown(comparison), to_latex(comparison)

    for name, value in cases(path, 300):
        path.write_text(json.dumps(value))
        outcomes.try_file(name, path, read)
    path.write_text(sound)
    outcomes.check(250, 150)


@pytest.mark.slow
@pytest.mark.parametrize("name", [COMPARISON, METRICS])
def test_reports_of_odd_records(compared, tmp_path, outcomes, name):
    path = compared / ("" if name == COMPARISON else "tiny/BPR/seed1") / name
    sound = path.read_text()
    for label, value in cases(path, 200):
        path.write_text(json.dumps(value))
        outcomes.try_file(label, path, write_report, [compared], tmp_path / "report")
    path.write_text(sound)
    outcomes.check(150, 150)
