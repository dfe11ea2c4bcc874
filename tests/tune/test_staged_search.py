"""Searches in stages: what is trained, kept, repeated and written."""

import json
import logging
import shutil
from contextlib import nullcontext

import pytest
import yaml

from recbole_sda.cli.run import main
from recbole_sda.engine.run_folder import METRICS
from recbole_sda.engine.train_log import append_history
from recbole_sda.errors import InputError
from recbole_sda.tune import search as search_module
from recbole_sda.tune.search import Search
from recbole_sda.tune.space import Domain, Space
from recbole_sda.tune.stages import Stage, StagedSpace


def choices(**values) -> Space:
    return Space({key: Domain("choice", listed) for key, listed in values.items()}, samples=None, grace_epochs=1)


def staged(**spaces) -> StagedSpace:
    return StagedSpace(tuple(Stage(name, space) for name, space in spaces.items()))


SHRINKAGE = {0.0: 0.3, 2.0: 0.5, 5.0: 0.4}
TARGETS = {0.0: 0.0, 0.1: -0.1, 0.2: 0.2}


@pytest.fixture(name="trained")
def trained_fixture(monkeypatch):
    """Trials that Ray would train, by stage; their scores come from the two tables above."""
    stages = []

    def run_trials(trials, settings, space, training, scratch):
        stages.append([trial.folder.name for trial in trials])
        errors = []
        for trial, values in zip(trials, settings):
            score = SHRINKAGE[values.get("id_shrinkage", 0.0)] + TARGETS[values.get("soft_targets", 0.0)]
            fails = values in run_trials.failing
            if not fails and not trial.folder.exists():
                trial.folder.mkdir(parents=True)
                append_history(trial.folder, {"phase": "valid", "epoch": 0, "ndcg@10": score})
            errors.append("out of memory" if fails else None)
        if run_trials.interrupt == len(stages):
            raise KeyboardInterrupt
        return errors

    run_trials.failing, run_trials.interrupt = (), None
    monkeypatch.setattr(search_module, "run_trials", run_trials)
    monkeypatch.setattr(search_module, "ray_session", lambda address: nullcontext())
    monkeypatch.setattr(search_module, "check_gpu_share", lambda gpus: None)
    run_trials.stages = stages
    return run_trials


TWO = staged(ids=choices(id_shrinkage=[2.0, 5.0]), targets=choices(soft_targets=[0.1, 0.2]))


def searched(tmp_path, keys, space=TWO) -> dict:
    return Search("BPR_SDA", "tiny", space, (), keys, out=tmp_path).run()


def test_stages_keep_the_best_and_train_nothing_twice(tmp_path, tiny_keys, trained):
    result = searched(tmp_path, tiny_keys)
    assert result == json.loads((tmp_path / "search.json").read_text())
    ids, targets = result["stages"]
    assert [stage["name"] for stage in result["stages"]] == ["ids", "targets"] and "trials" not in result
    assert [one["settings"] for one in ids["trials"]] == [{"id_shrinkage": x} for x in (2.0, 5.0, 0.0)]
    assert ids["best"] == ids["trials"][0] and ids["best"]["score"] == 0.5
    assert [one["settings"] for one in targets["trials"]] == [
        {"id_shrinkage": 2.0, "soft_targets": x} for x in (0.2, 0.0, 0.1)
    ]
    assert result["best"] == targets["best"] == targets["trials"][0] and result["best"]["score"] == 0.7
    assert trained.stages[1][0] == ids["best"]["folder"].removeprefix("trials/")  # the best so far, not trained again
    assert len(set(trained.stages[0] + trained.stages[1])) == 5
    best = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert (best["model"], best["id_shrinkage"], best["soft_targets"]) == ("BPR_SDA", 2.0, 0.2)


def test_a_stage_without_a_gain_keeps_the_settings(tmp_path, tiny_keys, trained):
    result = searched(tmp_path, tiny_keys, staged(ids=choices(id_shrinkage=[2.0]), targets=choices(soft_targets=[0.1])))
    assert result["best"]["settings"] == {"id_shrinkage": 2.0, "soft_targets": 0.0}
    assert result["best"]["folder"] == result["stages"][0]["best"]["folder"]


def test_a_tie_keeps_the_settings(tmp_path, tiny_keys, trained, monkeypatch):
    monkeypatch.setitem(TARGETS, 0.1, 0.0)
    result = searched(tmp_path, tiny_keys, staged(ids=choices(id_shrinkage=[2.0]), targets=choices(soft_targets=[0.1])))
    assert result["best"]["settings"]["soft_targets"] == 0.0


def test_an_interrupted_search_continues_in_its_stage(tmp_path, tiny_keys, trained):
    trained.interrupt = 2
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, tiny_keys)
    so_far = json.loads((tmp_path / "search.json").read_text())
    assert [stage["name"] for stage in so_far["stages"]] == ["ids"] and so_far["best"]["score"] == 0.5
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["id_shrinkage"] == 2.0
    result = searched(tmp_path, tiny_keys)
    assert len(trained.stages) == 3 and trained.stages[2] == trained.stages[1]  # the second stage alone
    assert result["best"]["score"] == 0.7 and result["stages"][0] == so_far["stages"][0]
    searched(tmp_path, tiny_keys)
    assert len(trained.stages) == 3
    more = staged(ids=TWO.stages[0].space, targets=TWO.stages[1].space, again=choices(id_shrinkage=[5.0]))
    assert searched(tmp_path, tiny_keys, more)["best"]["score"] == 0.7 and len(trained.stages) == 4
    searched(tmp_path, {**tiny_keys, "epochs": 3})
    assert len(trained.stages) == 6 and not set(trained.stages[4]) & set(trained.stages[0])


@pytest.mark.parametrize("option", ["grace_epochs", "reduction"])
def test_a_stage_with_other_options_is_run_again(tmp_path, tiny_keys, trained, option):
    searched(tmp_path, tiny_keys)
    searched(tmp_path, tiny_keys, TWO.changed({option: 7}, "x"))
    assert trained.stages[2:] == trained.stages[:2]


def test_a_stage_with_a_failed_trial_is_run_again(tmp_path, tiny_keys, trained, caplog):
    trained.failing = [{"id_shrinkage": 5.0}]
    with caplog.at_level(logging.WARNING):
        result = searched(tmp_path, tiny_keys)
    assert "failed: out of memory | id_shrinkage 5" in caplog.text
    failed = result["stages"][0]["trials"][-1]
    assert failed["error"] == "out of memory" and failed["score"] is None and failed["folder"]
    trained.failing = ()
    assert searched(tmp_path, tiny_keys)["stages"][0]["trials"][-1]["error"] is None
    assert len(trained.stages) == 3


def test_a_refused_configuration_is_named_and_not_run(tmp_path, tiny_keys, trained, caplog):
    keys = {**tiny_keys, "item_encoder": "identity"}  # with the default cmsa_weight, 0.1, it is refused
    space = staged(cmsa=choices(cmsa_weight=[0.1, 0.0]), ids=choices(id_shrinkage=[2.0]))
    with caplog.at_level(logging.WARNING):
        result = searched(tmp_path, keys, space)
    reason = "cmsa_weight=0.1 needs encoded features; item_encoder=identity has none"
    for text in ("the keys as given", "cmsa_weight 0.1"):
        assert f"stage 1 of 2, cmsa: skipped: {reason} | {text}" in caplog.text
    tried, *refused = result["stages"][0]["trials"]
    assert tried["settings"] == {"cmsa_weight": 0.0} and result["best"]["settings"]["id_shrinkage"] == 2.0
    assert [(one["settings"], one["error"], one["folder"]) for one in refused] == [
        ({}, reason, None),
        ({"cmsa_weight": 0.1}, reason, None),
    ]
    assert len(trained.stages) == 2
    searched(tmp_path, keys, space)
    assert len(trained.stages) == 2  # what is refused has not failed


def test_a_stage_in_which_all_is_refused_is_named(tmp_path, tiny_keys, trained):
    keys = {**tiny_keys, "item_encoder": "identity"}
    with pytest.raises(InputError, match="stage ids: no trial reached an evaluation: cmsa_weight=0.1 needs"):
        searched(tmp_path, keys, staged(ids=choices(id_shrinkage=[2.0])))
    assert not trained.stages


def test_a_finished_stage_without_the_folder_of_its_best_trial_is_run_again(tmp_path, tiny_keys, trained):
    best = searched(tmp_path, tiny_keys)["stages"][0]["best"]
    shutil.rmtree(tmp_path / best["folder"])
    assert searched(tmp_path, tiny_keys)["stages"][0]["best"] == best
    assert trained.stages[2:] == trained.stages[:1]


def test_other_keys_make_other_trials(tmp_path, tiny_keys, trained):
    searched(tmp_path, tiny_keys)
    searched(tmp_path, {**tiny_keys, "seed": 5})
    assert len(trained.stages) == 4 and not set(trained.stages[2]) & set(trained.stages[0])


def test_a_damaged_result_is_named(tmp_path, tiny_keys, trained):
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(InputError, match="search.json is damaged"):
        searched(tmp_path, tiny_keys)


@pytest.mark.parametrize(
    "values, keys, message",
    [
        ({"id_shrinkag": [1]}, {}, "search space, stage last: 'id_shrinkag'.*Did you mean 'id_shrinkage'"),
        ({"learning_rate": [1]}, {"learning_rate": 0.1}, "stage last: learning_rate is both given and searched for"),
        ({"run_dir": ["x"]}, {}, "stage last: run_dir is both given"),
    ],
)
def test_conflicts_of_every_stage_are_found_first(tmp_path, tiny_keys, trained, values, keys, message):
    space = staged(ids=choices(id_shrinkage=[2.0]), last=choices(**values))
    with pytest.raises(InputError, match=message):
        searched(tmp_path, {**tiny_keys, **keys}, space)
    together = Space({"pair": Domain("together", [{key: listed[0] for key, listed in values.items()}])})
    with pytest.raises(InputError, match=message):
        searched(tmp_path, {**tiny_keys, **keys}, staged(ids=choices(id_shrinkage=[2.0]), last=together))
    assert not trained.stages


def test_a_key_of_other_models_is_refused_in_every_stage(tmp_path, tiny_keys):
    space = staged(rates=choices(learning_rate=[0.1]), ids=choices(id_shrinkage=[2.0]))
    with pytest.raises(InputError, match="search space, stage ids: SASRec does not read id_shrinkage"):
        Search("SASRec", "tiny", space, (), tiny_keys, tmp_path)


@pytest.mark.slow
def test_a_staged_command_tests_its_best_trial_alone(tmp_path, data_path, monkeypatch, capsys):
    """With Ray: two stages of one new trial each, and the settings so far."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text(
        "grace_epochs: 1\nstages:\n- {name: start, space: {start: {together: [{id_start: features, id_start_scale: 1.0}]}}}\n"
        "- {name: targets, space: {soft_targets: [0.2]}}\n"
    )
    keys = {"data_path": data_path, "epochs": 1, "train_batch_size": 64, "MAX_ITEM_LIST_LENGTH": 8, "use_gpu": False}
    words = [f"--{key}={value}" for key, value in {**keys, "topk": "[5,10]", "threads": 1, "out": "out"}.items()]
    command = ["--tune=space.yaml", "--model=BPR_SDA", "--dataset=tiny", *words]
    assert main(command) == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "out/search.json").read_text())
    assert [len(stage["trials"]) for stage in result["stages"]] == [2, 2]
    assert [trial["error"] for stage in result["stages"] for trial in stage["trials"]] == [None] * 4
    assert len(list((tmp_path / "out/trials").iterdir())) == 3  # the best of the first stage is in the second, too
    scores = [stage["best"]["score"] for stage in result["stages"]]
    assert scores[0] <= scores[1] == result["best"]["score"]
    assert set(result["best"]["settings"]) == {"id_start", "id_start_scale", "soft_targets"}
    tested = list((tmp_path / "out/trials").glob(f"*/{METRICS}"))
    assert [path.parent for path in tested] == [tmp_path / "out" / result["best"]["folder"]]
    assert json.loads(tested[0].read_text())["test"]
