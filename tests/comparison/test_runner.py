"""Running a plan: nothing twice, on after an interruption with the same result, one failed run alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from recbole_sda.comparison import runner
from recbole_sda.comparison.compare import compare
from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_run import ModelEntry
from recbole_sda.comparison.runner import run_planned
from recbole_sda.engine import experiment
from recbole_sda.engine.trainer import RunTrainer
from recbole_sda.errors import InputError

BASE, OURS = ModelEntry("BPR", "BPR", None, {}), ModelEntry("ours", "BPR_SDA", "BPR", {"id_shrinkage": 2.0})


def results_of(plan: Plan) -> dict:
    return {str(run): json.loads((run.folder / "metrics.json").read_text())["test"] for run in plan.runs()}


def test_an_interrupted_comparison_goes_on_to_the_same_result(plan_of, monkeypatch):
    whole, cut = plan_of(BASE, OURS, seeds=(1, 2)), plan_of(BASE, OURS, seeds=(1, 2), out="cut")
    assert run_planned(whole.runs()) == {}
    trained, epochs = RunTrainer._save_last, []

    def save_then_stop(self, epoch):
        trained(self, epoch)
        epochs.append(epoch)
        if len(epochs) == 3:  # after the first of two epochs of the second run
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunTrainer, "_save_last", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            run_planned(cut.runs())
    assert [run.is_done for run in cut.runs()] == [True, False, False, False]
    made = []
    for name in ("run", "resume"):
        own = getattr(experiment, name)
        monkeypatch.setattr(experiment, name, lambda *a, own=own, name=name: made.append(name) or own(*a))
    assert run_planned(cut.runs()) == {}
    assert made == ["resume", "run", "run"]
    assert results_of(cut) == results_of(whole)
    assert run_planned(cut.runs()) == {} and len(made) == 3  # nothing is left to do


def test_a_broken_run_takes_only_those_along_that_need_it(plan_of, monkeypatch):
    broken = ModelEntry("broken", "BPR", None, {"learning_rate": 0.5})
    needs = ModelEntry("needs", "BPR_SDA", None, {"alignment_run": {"row": "broken"}, "alignment_weight": 0.1})
    plan, own = plan_of(broken, needs, BASE), experiment.run

    def run(model, dataset, files, keys):
        if keys.get("learning_rate") == 0.5:
            raise RuntimeError("diverged")
        return own(model, dataset, files, keys)

    monkeypatch.setattr(experiment, "run", run)
    failed = run_planned(plan.runs())
    assert list(failed) == ["broken on tiny, seed 1", "needs on tiny, seed 1"]
    assert "RuntimeError: diverged" in failed["broken on tiny, seed 1"]
    assert failed["needs on tiny, seed 1"] == "needs broken on tiny, seed 1, which failed"
    monkeypatch.undo()
    assert run_planned(plan.runs()) == {}  # tries again what failed
    assert all(run.is_done for run in plan.runs())


def test_a_run_that_another_process_is_at_is_left_alone(plan_of):
    plan = plan_of(BASE)
    run = plan.runs()[0]
    run.folder.parent.mkdir(parents=True)
    with FileLock(run.folder.with_name("seed1.lock")):
        assert "another process is at this run" in run_planned([run])[str(run)]
    assert run_planned([run]) == {} and run.is_done


def test_what_is_not_a_run_is_never_removed(plan_of):
    run = plan_of(BASE).runs()[0]
    run.folder.mkdir(parents=True)
    (run.folder / "thesis.tex").write_text("")
    assert "exists and is not a run folder" in run_planned([run])[str(run)]
    assert (run.folder / "thesis.tex").is_file()
    (run.folder / "thesis.tex").rename(run.folder / "config.yaml")  # a run that ended before its first epoch
    assert run_planned([run]) == {} and run.is_done


def test_jobs_of_other_processes_have_absolute_paths(plan_of, tmp_path, data_path, monkeypatch):
    """The run of an evaluation too: its folder and its data."""
    (tmp_path / "dataset").symlink_to(data_path)
    monkeypatch.chdir(tmp_path)
    plan = plan_of(BASE)
    plan = replace(plan, out=Path("out"), keys={**plan.keys, "data_path": "dataset"}, also={"top": {"tail_items": 2}})
    run, evaluation = (runner._with_changed_run(job, runner._with_absolute_paths) for job in plan.jobs())
    assert run.folder == evaluation.run.folder == tmp_path / "out/tiny/BPR/seed1"
    assert run.keys["data_path"] == evaluation.run.keys["data_path"] == str(data_path)


@pytest.mark.slow
def test_several_at_once_give_the_same(plan_of):
    one, many = plan_of(BASE, OURS), plan_of(BASE, OURS, out="many")
    assert run_planned(one.runs()) == run_planned(many.runs(), parallel=2) == {}
    assert results_of(one) == results_of(many)


def test_data_that_lie_elsewhere(tiny_keys, data_path, tmp_path):
    """The same files at another place: what is finished is not repeated; other files are refused."""
    plan = {"datasets": ["tiny"], "seeds": [1], "models": {"BPR": {}}, "keys": {**tiny_keys, "epochs": 1}}
    compare(plan, out=tmp_path / "out")
    (run,) = (tmp_path / "out").rglob("metrics.json")
    before = run.read_bytes()
    shutil.copytree(data_path / "tiny", tmp_path / "data" / "tiny")
    plan["keys"]["data_path"] = str(tmp_path / "data")
    compare(plan, out=tmp_path / "out")
    assert run.read_bytes() == before
    file = tmp_path / "data" / "tiny" / "tiny.inter"
    file.write_text(file.read_text() + "u1\ti9\t99\n")
    with pytest.raises(InputError, match="interactions in .* changed after this run"):
        compare(plan, out=tmp_path / "out")
