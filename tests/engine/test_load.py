"""Loading a run's weights: evaluation, and data to which the weights do not belong."""

import shutil
from pathlib import Path

import pytest

from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.io.checkpoint import BEST, load_checkpoint, save_checkpoint


def test_load_gives_the_best_epoch(finished):
    result, folder = finished
    run = experiment.load(folder)
    assert not run.model.training
    assert dict(run.trainer.evaluate(run.data.test, load_best_model=False)) == pytest.approx(result["test"])


def test_evaluate_again_under_another_protocol(finished, comparable):
    result, folder = finished
    again = experiment.evaluate(folder)
    assert comparable(again) == comparable(result)
    sampled = experiment.evaluate(folder, {"eval_args": {"mode": "uni5"}})
    assert sampled["protocol"]["evaluation"]["test"] == "5 uniform negatives"
    assert sampled["test"]["hit@5"] > result["test"]["hit@5"]
    assert len(list(folder.glob("evaluation-*.json"))) >= 1


@pytest.mark.parametrize("key, value", [("seed", 3), ("loss_type", "BPR"), ("softmax_negatives", 5), ("k", 3)])
def test_what_was_trained_is_not_changed_by_evaluation(finished, key, value):
    with pytest.raises(
        InputError,
        match=f"--load=.*: {key} is .* in this run and cannot become .*; keys that may change are .*data_path, ",
    ):
        experiment.evaluate(finished[1], {key: value})


def test_the_selection_of_the_epoch_is_that_of_the_run(finished):
    again = experiment.evaluate(finished[1], {"valid_metric": "Hit@5", "topk": [5]})
    assert again["protocol"]["selection"] == "NDCG@10 on validation data" and "hit@10" not in again["test"]


@pytest.mark.parametrize("changes", [{"split": {"RS": [0.5, 0.25, 0.25]}}, {"split": {"LS": "test_only"}}])
def test_no_evaluation_on_what_was_trained_on(finished, changes):
    with pytest.raises(InputError, match="was trained on other training interactions than tiny has now with these"):
        experiment.evaluate(finished[1], {"eval_args": changes})


def test_weights_belong_to_their_users_items_and_features(tiny_keys, tmp_path, write_tiny, other_vectors):
    """RecBole numbers users and items as they appear, so one more interaction can leave all shapes and move all rows."""
    folder = write_tiny(tmp_path / "data")
    keys = {**tiny_keys, "data_path": str(tmp_path / "data"), "runs_path": str(tmp_path / "runs"), "epochs": 1}
    run_dir = experiment.run("BPR_SDA", "tiny", (), keys)["run_dir"]
    path = folder / "tiny.inter"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines[::-1]]) + "\n")
    for act in (experiment.load, experiment.resume):
        with pytest.raises(InputError, match="was trained on other users than tiny has now with these settings, or in"):
            act(run_dir)
    times = [line.rsplit("\t", 1) for line in lines]
    path.write_text("\n".join([header, *(f"{pair}\t-{time}" for pair, time in times)]) + "\n")
    for act in (experiment.load, experiment.resume):  # the same users and items, but what was last is now first
        with pytest.raises(InputError, match="was trained on other training interactions than tiny has now"):
            act(run_dir)
    path.write_text("\n".join([header, *lines]) + "\n")
    experiment.load(run_dir)
    other_vectors(folder)
    with pytest.raises(InputError, match="was trained on other features than tiny has now"):
        experiment.load(run_dir)


def test_weights_belong_to_their_inputs(finished):
    _, folder = finished
    for changes in ({"feature_views": []}, {"modalities": ["text", "image"]}):
        with pytest.raises(InputError, match="was trained on other features than tiny has now with these settings"):
            experiment.load(folder, changes)


def test_vectors_under_other_ids_are_others(tiny_keys, tmp_path, write_tiny):
    """As when a matrix is imported again, its ids moved by one row."""
    folder = write_tiny(tmp_path / "data")
    keys = {**tiny_keys, "data_path": str(tmp_path / "data"), "runs_path": str(tmp_path / "runs"), "epochs": 1}
    run_dir = experiment.run("BPR_SDA", "tiny", (), keys)["run_dir"]
    store = FeatureStore(folder / "features/random")
    vectors = {name: store.matrix(name).numpy() for name in store.modalities}
    present = {name: store.present(name).numpy() for name in store.modalities}
    write_store(store.path, [*store.item_ids[1:], store.item_ids[0]], vectors, present, overwrite=True)
    assert FeatureStore(store.path).features_sha256 == store.features_sha256
    with pytest.raises(InputError, match="was trained on other features than tiny has now"):
        experiment.load(run_dir)


def test_another_store_in_the_folder_changes_nothing(tiny_keys, tmp_path, write_tiny):
    folder = write_tiny(tmp_path / "data")
    keys = {**tiny_keys, "data_path": str(tmp_path / "data"), "runs_path": str(tmp_path / "runs"), "epochs": 1}
    run_dir = experiment.run("BPR_SDA", "tiny", (), keys)["run_dir"]
    shutil.copytree(folder / "features/random", folder / "features/another")
    experiment.load(run_dir)
    experiment.resume(run_dir, {"epochs": 2})
    assert Path(experiment.run("BPR_SDA", "tiny", (), keys)["features"]["store"]).name == "random"
    (folder / "features/default.txt").unlink()
    with pytest.raises(InputError, match="several feature stores .another, random. and none is the default"):
        experiment.run("BPR_SDA", "tiny", (), keys)


def test_a_trained_run_no_longer_needs_the_run_of_its_alignment(keys):
    base = experiment.run("BPR", "tiny", (), {**keys, "epochs": 1})["run_dir"]
    given = {**keys, "epochs": 1, "alignment_weight": 0.1, "alignment_run": base}
    result = experiment.run("BPR_SDA", "tiny", (), given)
    shutil.rmtree(base)
    run = experiment.load(result["run_dir"])
    assert run.model.alignment.known[1:].all() and run.model.alignment.table[1:].abs().sum(dim=1).all()
    experiment.resume(result["run_dir"], {"epochs": 2})


def test_a_controls_features_are_those_of_its_seed(keys):
    run_dir = experiment.run("BPR_SDA", "tiny", (), {**keys, "epochs": 1, "shuffle_features": True})["run_dir"]
    experiment.load(run_dir)
    for changes in ({"seed": 3}, {"shuffle_features": False}):
        with pytest.raises(InputError, match="was trained on other features than tiny has now with these settings"):
            experiment.load(run_dir, changes)


def test_a_checkpoint_of_another_format_is_refused(finished):
    path = finished[1] / BEST
    save_checkpoint(path, {**load_checkpoint(path), "format": 1})
    with pytest.raises(InputError, match="best.pt is a checkpoint of format 1; this version reads 3: train anew"):
        experiment.load(finished[1])


def test_a_checkpoint_of_other_sizes_is_refused(finished):
    with pytest.raises(InputError, match="best.pt does not fit this configuration: .*size mismatch"):
        experiment.load(finished[1], {"inner_size": 32})


def test_what_is_not_a_run_folder(tmp_path):
    with pytest.raises(InputError, match="is not a run folder: config.yaml is missing"):
        experiment.resume(tmp_path)
    with pytest.raises(InputError, match="is not a run folder: config.yaml is missing"):
        experiment.load(tmp_path)


@pytest.mark.parametrize("model", ["BPR", "BPR_SDA"])
def test_runs_from_before_a_key_have_its_default(keys, tmp_path, comparable, model):
    """Runs of base models had no preset, and none had a decay of rare items."""
    whole = experiment.run(model, "tiny", (), {**keys, "run_dir": str(tmp_path / "run")})
    path = tmp_path / "run/config.yaml"
    lines = path.read_text().splitlines(True)
    older = [line for line in lines if not line.startswith(("preset:", "rare_item_decay:"))]
    assert len(older) == len(lines) - 2
    path.write_text("".join(older))
    assert comparable(experiment.resume(tmp_path / "run")) == comparable(whole)
    assert comparable(experiment.evaluate(tmp_path / "run")) == comparable(whole)
