"""Running a plan: nothing twice, on after an interruption with the same result, one broken run alone."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from recbole_sda.cli.experiments import main
from recbole_sda.comparison.plan import ModelEntry, Plan
from recbole_sda.comparison.runner import run_cells
from recbole_sda.comparison.tables import compare_runs, to_markdown
from recbole_sda.comparison.user_metrics import user_metrics
from recbole_sda.engine import experiment
from recbole_sda.engine.trainer import RunTrainer
from recbole_sda.errors import InputError

BASE, OURS = ModelEntry("BPR", "BPR", None, {}), ModelEntry("ours", "BPR_SDA", "BPR", {"id_shrinkage": 2.0})


@pytest.fixture
def plan_of(tiny_keys, tmp_path):
    """Return a function that makes a plan of rows on the tiny data set."""

    def make(*rows, seeds=(1,), out="out") -> Plan:
        return Plan("t", "", rows, ("tiny",), seeds, tiny_keys, {}, ("hit@10", "ndcg@10"), "holm", tmp_path / out)

    return make


def results_of(plan: Plan) -> dict:
    return {str(cell): json.loads((cell.folder / "metrics.json").read_text())["test"] for cell in plan.cells()}


def test_an_interrupted_comparison_goes_on_to_the_same_result(plan_of, monkeypatch):
    whole, cut = plan_of(BASE, OURS, seeds=(1, 2)), plan_of(BASE, OURS, seeds=(1, 2), out="cut")
    assert run_cells(whole.cells()) == {}
    trained, epochs = RunTrainer._save_last, []

    def save_then_stop(self, epoch):
        trained(self, epoch)
        epochs.append(epoch)
        if len(epochs) == 3:  # after the first of two epochs of the second run
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunTrainer, "_save_last", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            run_cells(cut.cells())
    assert [cell.is_done for cell in cut.cells()] == [True, False, False, False]
    made = []
    for name in ("run", "resume"):
        own = getattr(experiment, name)
        monkeypatch.setattr(experiment, name, lambda *a, own=own, name=name: made.append(name) or own(*a))
    assert run_cells(cut.cells()) == {}
    assert made == ["resume", "run", "run"]
    assert results_of(cut) == results_of(whole)
    assert run_cells(cut.cells()) == {} and len(made) == 3  # nothing is left to do


def test_a_broken_run_takes_only_those_along_that_need_it(plan_of, monkeypatch):
    broken = ModelEntry("broken", "BPR", None, {"learning_rate": 0.5})
    needs = ModelEntry("needs", "BPR_SDA", None, {"alignment_run": {"row": "broken"}, "alignment_weight": 0.1})
    plan, own = plan_of(broken, needs, BASE), experiment.run

    def run(model, dataset, files, keys):
        if keys.get("learning_rate") == 0.5:
            raise RuntimeError("diverged")
        return own(model, dataset, files, keys)

    monkeypatch.setattr(experiment, "run", run)
    failed = run_cells(plan.cells())
    assert list(failed) == ["broken on tiny, seed 1", "needs on tiny, seed 1"]
    assert "RuntimeError: diverged" in failed["broken on tiny, seed 1"]
    assert failed["needs on tiny, seed 1"] == "needs broken on tiny, seed 1, which failed"
    monkeypatch.undo()
    assert run_cells(plan.cells()) == {}  # tries again what failed
    assert all(cell.is_done for cell in plan.cells())


def test_a_run_that_another_process_is_at_is_left_alone(plan_of):
    plan = plan_of(BASE)
    cell = plan.cells()[0]
    cell.folder.parent.mkdir(parents=True)
    with FileLock(cell.folder.with_name("seed1.lock")):
        assert "another process is at this run" in run_cells([cell])[str(cell)]
    assert run_cells([cell]) == {} and cell.is_done


def test_what_is_not_a_run_is_never_removed(plan_of):
    cell = plan_of(BASE).cells()[0]
    cell.folder.mkdir(parents=True)
    (cell.folder / "thesis.tex").write_text("")
    assert "exists and is not a run folder" in run_cells([cell])[str(cell)]
    assert (cell.folder / "thesis.tex").is_file()
    (cell.folder / "thesis.tex").rename(cell.folder / "config.yaml")  # a run that ended before its first epoch
    assert run_cells([cell]) == {} and cell.is_done


def test_random_splits_are_compared_seed_by_seed(plan_of, tiny_keys):
    ratio = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "none", "mode": "full"}
    plan = plan_of(BASE, OURS, seeds=(1, 2))
    plan = replace(plan, keys={**tiny_keys, "eval_args": ratio})
    assert run_cells(plan.cells()) == {}
    found = compare_runs(plan)["rows"][1]
    tables = [[user_metrics(plan.cell(row, "tiny", s).folder, ["hit@10"]) for s in (1, 2)] for row in (BASE, OURS)]
    both = [ours - base for base, ours in zip(*tables)]
    expected = pd.concat(both).groupby(level=0).mean()["hit@10"].mean()
    assert np.isclose(found["tests"]["all"]["hit@10"]["difference"], expected)


@pytest.mark.slow
def test_several_at_once_give_the_same(plan_of):
    one, many = plan_of(BASE, OURS), plan_of(BASE, OURS, out="many")
    assert run_cells(one.cells()) == run_cells(many.cells(), parallel=2) == {}
    assert results_of(one) == results_of(many)


def test_folders_of_other_settings_are_refused(plan_of):
    plan = plan_of(BASE)
    run_cells(plan.cells())
    plan.cells()[0].check()
    other = plan_of(ModelEntry("BPR", "BPR", None, {"learning_rate": 0.5}))
    with pytest.raises(InputError, match="run with other settings .learning_rate 0.001 -> 0.5"):
        other.cells()[0].check()


def test_keys_that_came_after_a_run_had_their_defaults_in_it(plan_of):
    plan = plan_of(BASE)
    run_cells(plan.cells())
    path = plan.cells()[0].folder / "config.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "mask_validation" not in line))
    plan.cells()[0].check()
    with pytest.raises(InputError, match="run with other settings .mask_validation True -> False"):
        plan_of(ModelEntry("BPR", "BPR", None, {"mask_validation": False})).cells()[0].check()


def test_a_comparison_that_moved_is_still_its_own(plan_of, tmp_path):
    """Also where a run was aligned with another one of it."""
    aligned = ModelEntry("aligned", "BPR_SDA", "BPR", {"alignment_run": {"row": "BPR"}, "alignment_weight": 0.1})
    assert run_cells(plan_of(BASE, aligned).cells()) == {}
    shutil.move(tmp_path / "out", tmp_path / "moved")
    for cell in plan_of(BASE, aligned, out="moved").cells():
        cell.check()


def test_folders_of_other_vectors_or_interactions_are_refused(plan_of, tiny_keys, tmp_path, write_tiny, other_vectors):
    folder = write_tiny(tmp_path / "data")
    plan = replace(plan_of(OURS), keys={**tiny_keys, "data_path": str(tmp_path / "data")})
    run_cells(plan.cells())
    plan.cells()[0].check()
    other_vectors(folder)
    with pytest.raises(InputError, match="was run on other features than .*tiny has now"):
        plan.cells()[0].check()
    path = folder / "tiny.inter"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(InputError, match="was run on other interactions and features than .*tiny has now"):
        plan.cells()[0].check()


def test_chosen_rows_are_run_and_all_that_are_done_are_shown(plan_of):
    """So that a choice of rows makes no p-value smaller; a row without any run is named."""
    third = ModelEntry("third", "BPR_SDA", "BPR", {"id_shrinkage": 1.0})
    run_cells(plan_of(BASE, OURS).cells())
    plan = replace(plan_of(BASE, OURS, third), chosen=("BPR", "third"))
    assert [cell.row.name for cell in plan.cells()] == ["BPR", "third"]
    assert [cell.row.name for cell in plan.done_besides()] == ["ours"]
    found = compare_runs(plan)
    assert [line["row"] for line in found["rows"]] == ["BPR", "ours"] and found["without_runs"] == {"tiny": ["third"]}
    assert "Without a finished run: third." in to_markdown(found)
    run_cells(plan.cells())
    assert compare_runs(plan)["comparisons"] == 2 * found["comparisons"]


def test_a_damaged_result_is_named(plan_of):
    plan = plan_of(BASE)
    run_cells(plan.cells())
    path = plan.cells()[0].folder / "metrics.json"
    for text in (path.read_text()[:100], "[1]"):
        path.write_text(text)
        with pytest.raises(InputError, match="metrics.json is damaged .*remove it, and --resume="):
            compare_runs(plan)


def test_the_command_writes_tables_and_says_how_to_go_on(tiny_keys, tmp_path, capsys, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("datasets: [tiny]\nseeds: [1, 2]\nmodels: {BPR: , BPR_SDA: {base: BPR}}\nmetrics: [hit@5]\n")
    keys = {key: value for key, value in tiny_keys.items() if key != "metrics"}
    words = ["compare", str(path), f"--out={tmp_path / 'out'}", *(f"--{k}={v}" for k, v in keys.items())]
    assert main([*words, "--table"]) == 2 and "no finished run" in capsys.readouterr().err
    assert main([*words, "--list"]) == 0 and capsys.readouterr().out.count("to do") == 4
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "run", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(words) == 130 and "the same command goes on" in capsys.readouterr().err
    assert main(words) == 0
    assert "| BPR_SDA |" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "out").glob("comparison.*")) == [
        "comparison.json", "comparison.md", "comparison.tex"
    ]  # fmt: skip
    shutil.rmtree(tmp_path / "out/tiny/BPR/seed2")
    assert main([*words, "--list"]) == 0 and capsys.readouterr().out.count("to do") == 1
    assert main(["compare", str(path), "--parallel=0"]) == 2 and "--parallel=0" in capsys.readouterr().err
