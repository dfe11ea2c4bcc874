"""The data of a report, collected from folders."""

import json
import shutil

import pytest

from recbole_sda.comparison.statistics import compare_runs
from recbole_sda.comparison.tables import write_tables
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.report.collect import collect, plan_of_runs


def test_rows_are_named_by_what_differs(runs, run_keys, tmp_path):
    other = tmp_path / "other"
    experiment.run("BPR_SDA", "tiny", (), {**run_keys, "seed": 1, "cmsa_weight": 0.0, "run_dir": str(other)})
    rows = collect([*map(str, runs), str(other)]).rows
    assert [row.row for row in rows] == ["BPR", "BPR_SDA, cmsa_weight=0.1", "BPR_SDA, cmsa_weight=0.0"]
    with pytest.raises(InputError, match="are the same run twice: BPR, seed 1"):
        collect([str(runs[0]), str(runs[0])])


def test_results_of_an_earlier_version_are_read(runs, tmp_path):
    """They name the groups "fifth 1" to "fifth 5"; both as single runs and as runs of a comparison."""
    folders = []
    for folder in (runs[0], runs[2]):
        folders.append(shutil.copytree(folder, tmp_path / folder.name))
        path = folders[-1] / "metrics.json"
        text = path.read_text().replace('"quintile ', '"fifth ')
        assert text.count('"fifth ') == 20
        path.write_text(text)
    write_tables(compare_runs(plan_of_runs(folders)), tmp_path)
    now = collect([runs[0], runs[2]])
    for earlier in (collect(folders), collect([tmp_path])):
        assert [row.folders for row in earlier.rows] == [[folder] for folder in folders]
        for row, row_now in zip(earlier.rows, now.rows):
            assert row.group_mean("items", "quintile 5", "ndcg@10") == row_now.group_mean(
                "items", "quintile 5", "ndcg@10"
            )
            assert row.cases("users", "quintile 1") == row_now.cases("users", "quintile 1") > 0


def test_a_run_that_is_gone_is_named(runs, tmp_path):
    folder = shutil.copytree(runs[0], tmp_path / "run")
    write_tables(compare_runs(plan_of_runs([folder])), tmp_path)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="run is missing; the comparison of BPR on tiny used it"):
        collect([tmp_path])
    (tmp_path / "comparison.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(InputError, match="has format 1, expected 2"):
        collect([tmp_path])
