"""Evaluations of finished runs under a further protocol: the same figures as --load, nothing twice, nothing out of date."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from filelock import FileLock

from recbole_sda.comparison import planned_evaluation
from recbole_sda.comparison.planned_run import ModelEntry
from recbole_sda.comparison.runner import run_planned
from recbole_sda.comparison.statistics import compare_runs
from recbole_sda.comparison.tables import results_frame
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError

BASE, OURS = ModelEntry("BPR", "BPR", None, {}), ModelEntry("ours", "BPR_SDA", "BPR", {"id_shrinkage": 2.0})
UNI10 = {"eval_args": {"mode": "uni10"}}


@pytest.fixture
def plan_with(plan_of):
    """A function that makes a plan with further protocols; none given: ``uni10``."""

    def make(*entries, **also):
        return replace(plan_of(*entries), also=also or {"uni10": UNI10})

    return make


@pytest.fixture
def finished(plan_with):
    """A plan whose one run is finished, and its one evaluation."""
    plan = plan_with(BASE)
    assert run_planned(plan.jobs()) == {}
    return plan, plan.jobs()[1]


def metrics_of(evaluation) -> dict:
    return json.loads((evaluation.folder / "metrics.json").read_text())


@pytest.mark.parametrize("model", ["BPR", "SASRec_SDA", "ItemKNN", "SequenceKNN"])
def test_the_figures_are_those_of_load(plan_with, model):
    known = {"mask_history": False, "topk": [10], "valid_metric": "NDCG@10"}
    plan = plan_with(ModelEntry(model, model, None, {}), uni10=UNI10, pop5={"eval_args": {"mode": "pop5"}}, known=known)
    run, *evaluations = plan.jobs()
    assert run_planned(plan.jobs()) == {}
    for evaluation in evaluations:
        loaded = experiment.evaluate(run.folder, evaluation.keys)
        found = metrics_of(evaluation)
        for key in ("valid", "test", "groups", "protocol", "best_epoch", "inputs"):
            assert found[key] == json.loads(json.dumps(loaded[key])), (str(evaluation), key)
        assert {path.name for path in evaluation.folder.iterdir()} == {
            "config.yaml", "metrics.json", "ranks-test.parquet", "ranks-valid.parquet"
        }  # fmt: skip
        evaluation.check()
    row = compare_runs(plan)["rows"][0]
    for evaluation in evaluations:
        for name in plan.metrics:
            assert row["metrics"][evaluation.protocol][name]["values"] == [metrics_of(evaluation)["test"][name]]
    assert metrics_of(evaluations[0])["protocol"]["evaluation"]["test"] == "10 uniform negatives"
    assert metrics_of(evaluations[0])["test"] != json.loads((run.folder / "metrics.json").read_text())["test"]


def test_only_what_is_missing_is_evaluated_and_nothing_is_trained(plan_with, monkeypatch):
    plan = plan_with(BASE, OURS)
    assert run_planned(plan.jobs()) == {}
    before = {str(job): (job.folder / "metrics.json").stat().st_mtime_ns for job in plan.jobs()}
    cut = plan.jobs()[3]
    assert str(cut) == "uni10 of ours on tiny, seed 1"
    evaluate = planned_evaluation.load
    with monkeypatch.context() as patch:
        patch.setattr(planned_evaluation, "load", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        (cut.folder / "metrics.json").unlink()
        with pytest.raises(KeyboardInterrupt):
            run_planned(plan.jobs())
    assert [job.is_done for job in plan.jobs()] == [True, True, True, False]
    assert [path.name for path in cut.folder.parent.iterdir() if "draft" in path.name] == []
    loaded = []
    monkeypatch.setattr(planned_evaluation, "load", lambda *a: loaded.append(a[0]) or evaluate(*a))
    for name in ("run", "resume"):
        monkeypatch.setattr(experiment, name, lambda *a: pytest.fail("trained"))
    assert run_planned(plan.jobs()) == {} and loaded == [cut.run.folder]
    after = {str(job): (job.folder / "metrics.json").stat().st_mtime_ns for job in plan.jobs()}
    assert {name for name in before if before[name] != after[name]} == {str(cut)}


def test_a_run_that_was_trained_further_is_evaluated_again(finished):
    plan, evaluation = finished
    before = metrics_of(evaluation)
    experiment.resume(evaluation.run.folder, {"epochs": 4})
    longer = replace(plan, keys={**plan.keys, "epochs": 4})
    again = longer.jobs()[1]
    assert not again.is_done
    again.check()  # the old result, of other settings, will be replaced
    found = compare_runs(longer)
    assert found["rows"][0]["also"] == {} and results_frame(found, "tiny")["uni10 Hit@10"].tolist() == ["not evaluated"]
    assert run_planned(longer.jobs()) == {} and again.is_done
    assert metrics_of(again)["epochs_run"] == 4 and before["epochs_run"] == 2
    (again.run.folder / "metrics.json").unlink()
    assert not again.is_done


def test_a_result_of_other_settings_is_refused(finished):
    plan, evaluation = finished
    other = replace(plan, also={"uni10": {"eval_args": {"mode": "uni5"}}}).jobs()[1]
    assert other.folder == evaluation.folder
    with pytest.raises(InputError, match=r"protocols/uni10 was run with other settings .eval_args .*uni10.*uni5"):
        other.check()


def test_changed_data_are_refused_before_and_after_the_evaluation(plan_of, tiny_keys, tmp_path, write_tiny):
    path = write_tiny(tmp_path / "data") / "tiny.inter"
    keys = {**tiny_keys, "data_path": str(tmp_path / "data")}
    plan = replace(plan_of(BASE), keys=keys, also={"uni10": UNI10})
    run, evaluation = plan.jobs()
    assert run_planned([run]) == {}
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert "interactions in" in run_planned(plan.jobs())[str(evaluation)] and not evaluation.folder.exists()
    path.write_text("".join(lines))
    assert run_planned(plan.jobs()) == {}
    path.write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match="protocols/uni10: interactions in .* changed after this run"):
        evaluation.check()


def test_wrong_values_are_refused_with_the_protocol(plan_with):
    plan = plan_with(BASE, none={"eval_args": {"mode": "uni0"}})
    with pytest.raises(InputError, match="^also: none: models: BPR: eval_args: mode='uni0'"):
        plan.jobs()[1].check()


def test_keys_of_the_protocol_win_over_those_of_the_row(plan_with):
    """A split of the row's keys stays."""
    split = {"RS": [0.6, 0.2, 0.2]}
    entry = ModelEntry("BPR", "BPR", None, {"eval_args": {"split": split, "mode": "uni5"}, "tail_items": 2})
    plan = plan_with(entry, uni10={**UNI10, "tail_items": 3})
    assert run_planned(plan.jobs()) == {}
    row = compare_runs(plan)["rows"][0]
    assert row["protocol"]["evaluation"]["test"] == "5 uniform negatives"
    assert row["also"]["uni10"]["protocol"]["evaluation"]["test"] == "10 uniform negatives"
    assert row["protocol"]["split"] == row["also"]["uni10"]["protocol"]["split"] and "0.6" in row["protocol"]["split"]
    assert metrics_of(plan.jobs()[1])["groups"]["test"]["limits"]["tail_items"] == 3
    plan.jobs()[1].check()


def test_a_split_with_another_training_part_is_refused(finished):
    plan, _ = finished
    half = replace(plan, also={"half": {"eval_args": {"split": {"RS": [0.5, 0.2, 0.3]}}}})
    failed = run_planned(half.jobs())
    assert "best.pt was trained on other training interactions" in failed["half of BPR on tiny, seed 1"]
    assert not half.jobs()[1].folder.exists()


def test_a_failed_run_or_evaluation_is_named(plan_with, monkeypatch):
    plan = plan_with(BASE)
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "run", lambda *a: (_ for _ in ()).throw(RuntimeError("diverged")))
        failed = run_planned(plan.jobs())
    assert failed["uni10 of BPR on tiny, seed 1"] == "needs BPR on tiny, seed 1, which failed" and len(failed) == 2
    assert run_planned(plan.runs()) == {}
    (plan.runs()[0].folder / "checkpoint/best.pt").unlink()
    failed = run_planned(plan.jobs())
    assert list(failed) == ["uni10 of BPR on tiny, seed 1"] and "best.pt" in failed["uni10 of BPR on tiny, seed 1"]


def test_an_evaluation_that_another_process_is_at_is_left_alone(plan_with):
    plan = plan_with(BASE)
    run_planned(plan.runs())
    evaluation = plan.jobs()[1]
    evaluation.folder.parent.mkdir()
    with FileLock(evaluation.folder.with_name("uni10~lock")):
        assert "another process is at this evaluation" in run_planned([evaluation])[str(evaluation)]
    assert run_planned([evaluation]) == {} and evaluation.is_done


@pytest.mark.slow
def test_several_at_once_give_the_same(plan_with, plan_of):
    one = plan_with(BASE, OURS, uni10=UNI10, uni5={"eval_args": {"mode": "uni5"}})
    many = replace(plan_of(BASE, OURS, out="many"), also=one.also)
    assert run_planned(one.jobs()) == run_planned(many.jobs(), parallel=2) == {}
    for ours, theirs in zip(one.jobs(), many.jobs()):
        pd.testing.assert_frame_equal(
            *(pd.read_parquet(job.folder / "ranks-test.parquet") for job in (ours, theirs)), obj=str(ours)
        )
        theirs.check()
