"""base_fallback: the better of an SDA version and its base on validation data is what the run holds."""

import json
import shutil

import pytest
import torch

from recbole_sda.engine import base_fallback, experiment, fallback_choice
from recbole_sda.engine.fallback_choice import CHOICE, read_choice
from recbole_sda.engine.run import load
from recbole_sda.engine.trainer import RunTrainer
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST, LAST, load_checkpoint
from recbole_sda.recommend.recommender import Recommender

# Model -> which of the two has the higher validation metric on the tiny data set.
KEPT = {"BPR_SDA": "base", "LightGCN_SDA": "content", "BM3_SDA": "base", "SASRec_SDA": "base"}
ON, OFF = {"base_fallback": True}, {"base_fallback": False}


def weights(folder, file=BEST):
    return load_checkpoint(folder / file)["state_dict"]


def same_weights(a, b, file=BEST):
    first, second = weights(a, file), weights(b, file)
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.fixture
def kept_base(keys, tmp_path):
    """Folder of a run that kept its base model."""
    folder = tmp_path / "run"
    experiment.run("BPR_SDA", "tiny", (), {**keys, **ON, "run_dir": str(folder)})
    return folder


@pytest.mark.parametrize("model, kept", KEPT.items())
def test_the_run_equals_the_better_of_two_runs(model, kept, keys, tmp_path, history, comparable, caplog):
    with_content = experiment.run(model, "tiny", (), {**keys, **OFF, "run_dir": str(tmp_path / "content")})
    base = experiment.run(model.removesuffix("_SDA"), "tiny", (), {**keys, "run_dir": str(tmp_path / "base")})
    with caplog.at_level("INFO"):
        both = experiment.run(model, "tiny", (), {**keys, **ON, "run_dir": str(tmp_path / "both")})
    runs = {"base": base, "content": with_content}
    values = {name: result["valid"]["ndcg@10"] for name, result in runs.items()}
    assert kept == max(values, key=values.get)
    assert comparable(both) == comparable(runs[kept])
    assert history(tmp_path / "both") == history(tmp_path / kept)
    other = {"base": "content", "content": "base"}[kept]
    assert both["fallback"] == {
        "kept": kept, "metric": "NDCG@10", **values, "epochs": keys["epochs"], "stopping_step": 10,
    }  # fmt: skip
    assert [line.get("phase") for line in history(tmp_path / other)] == [
        json.loads(line)["phase"] for line in (tmp_path / "both" / f"history-{other}.jsonl").read_text().splitlines()
    ]
    assert not (tmp_path / "both" / "base").exists() and list((tmp_path / "both/tensorboard/base").iterdir())
    assert (
        f"base_fallback: {'the base model' if kept == 'base' else 'content'} was kept: validation NDCG@10"
        in caplog.text
    )
    assert any("the base model was kept" in warning for warning in both["warnings"]) == (kept == "base")
    again = experiment.evaluate(tmp_path / "both")
    assert again["test"] == both["test"] and again["fallback"] == both["fallback"]
    if kept == "content":
        assert same_weights(tmp_path / "both", tmp_path / "content")
    assert load(tmp_path / "both").model.settings.soft_targets == (
        0 if kept == "base" else load(tmp_path / "content").model.settings.soft_targets
    )


@pytest.mark.parametrize("model", ["LightGCN_SDA", "BPR_SDA"])
def test_training_longer(model, keys, tmp_path, comparable, history):
    """The base model goes on where it was kept, and both are compared anew where content was."""
    experiment.run(model, "tiny", (), {**keys, **ON, "run_dir": str(tmp_path / "short")})
    whole = experiment.run(model, "tiny", (), {**keys, **ON, "epochs": 6, "run_dir": str(tmp_path / "whole")})
    longer = experiment.resume(tmp_path / "short", {"epochs": 6})
    assert comparable(longer) == comparable(whole) and history(tmp_path / "short") == history(tmp_path / "whole")
    assert experiment.resume(tmp_path / "short")["test"] == whole["test"]


def interrupt_at(monkeypatch, place, call):
    """Let the given call of a function end as by Ctrl-C, before it does anything."""
    owner, name = place
    original, calls = getattr(owner, name), []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)


def interrupted_run(monkeypatch, keys, folder, place, call):
    """Begin a run of BPR_SDA in a folder, which ends by Ctrl-C at the given call of a function."""
    with monkeypatch.context() as patch:
        interrupt_at(patch, place, call)
        with pytest.raises(KeyboardInterrupt):
            experiment.run("BPR_SDA", "tiny", (), {**keys, **ON, "run_dir": str(folder)})


@pytest.mark.parametrize("model", ["LightGCN_SDA", "BPR_SDA"])
@pytest.mark.parametrize(
    "place, call",
    [
        ((RunTrainer, "_train_epoch"), 2),  # of the SDA version
        ((RunTrainer, "_train_epoch"), 5),  # the first one of the base model
        ((RunTrainer, "_train_epoch"), 7),
        ((base_fallback, "write_choice"), 1),
        ((fallback_choice, "_copy"), 1),
        ((fallback_choice, "_copy"), 3),
        ((fallback_choice, "write_choice"), 1),
        ((shutil, "rmtree"), 2),  # the first one removes what an earlier training left
        ((RunTrainer, "evaluate"), 9),  # of test data, after four validations of each
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else value,
)
def test_an_interrupted_run_is_resumed_to_the_same_result(
    model, place, call, keys, tmp_path, monkeypatch, comparable, history
):
    whole = experiment.run(model, "tiny", (), {**keys, **ON, "run_dir": str(tmp_path / "whole")})
    with monkeypatch.context() as patch:
        interrupt_at(patch, place, call)
        try:
            experiment.run(model, "tiny", (), {**keys, **ON, "run_dir": str(tmp_path / "cut")})
        except KeyboardInterrupt:
            pass
        else:
            assert (model, place[1], call) == ("LightGCN_SDA", "_copy", 3)  # one file is copied there
    resumed = experiment.resume(tmp_path / "cut")
    assert comparable(resumed) == comparable(whole) and resumed["fallback"] == whole["fallback"]
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert same_weights(tmp_path / "cut", tmp_path / "whole") and same_weights(
        tmp_path / "cut", tmp_path / "whole", LAST
    )
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in ("cut", "whole")]
    assert names[0] == names[1]


def test_without_validation_data_content_is_kept(keys, tmp_path, caplog):
    split = {"eval_args": {"split": {"RS": [0.8, 0.0, 0.2]}, "order": "TO", "mode": "full"}}
    result = experiment.run("BPR_SDA", "tiny", (), {**keys, **ON, **split})
    assert "base_fallback: without validation data nothing chooses; content is kept" in caplog.text
    assert "fallback" not in result


def test_a_base_that_diverges_is_named_and_content_can_be_kept(keys, tmp_path, monkeypatch, comparable):
    expected = experiment.run("BPR_SDA", "tiny", (), {**keys, **OFF, "run_dir": str(tmp_path / "content")})
    train_epoch, folder = RunTrainer._train_epoch, tmp_path / "run"

    def diverging(self, train_data, epoch, *args, **kwargs):
        if self.run_dir.name == "base" and epoch == 1:
            raise InputError("the training loss is NaN")
        return train_epoch(self, train_data, epoch, *args, **kwargs)

    monkeypatch.setattr(RunTrainer, "_train_epoch", diverging)
    message = f"base_fallback: the training loss is NaN; --resume={folder} --base_fallback=False keeps content"
    with pytest.raises(InputError, match=message):
        experiment.run("BPR_SDA", "tiny", (), {**keys, **ON, "run_dir": str(folder)})
    result = experiment.resume(folder, OFF)
    assert comparable(result) == comparable(expected) and "fallback" not in result


def test_a_damaged_checkpoint_of_the_base_is_named(keys, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted_run(monkeypatch, keys, folder, (RunTrainer, "_train_epoch"), 7)
    (folder / "base" / LAST).write_bytes(b"broken")
    with pytest.raises(InputError, match="base/checkpoint/last.pt"):
        experiment.resume(folder)


def test_a_run_whose_choice_is_not_carried_out_is_resumed_first(keys, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted_run(monkeypatch, keys, folder, (fallback_choice, "_copy"), 2)
    with pytest.raises(InputError, match=f"its files are not yet in place; --resume={folder} ends it"):
        load(folder)
    shutil.move(folder / "base", tmp_path / "elsewhere")
    with pytest.raises(InputError, match="carried_out is false, but .*base with the base model is missing"):
        experiment.resume(folder)
    shutil.move(tmp_path / "elsewhere", folder / "base")
    experiment.resume(folder)
    assert load(folder).model.settings == load(folder).model.settings.of_base()


def test_the_control_is_never_replaced(keys):
    assert "fallback" not in experiment.run("BPR_SDA", "tiny", (), {**keys, **ON, "shuffle_features": True})


def test_a_key_of_content_has_no_effect_on_a_kept_base(kept_base, caplog):
    load(kept_base, {"cold_item_scale": 2.0})
    assert f"{kept_base}: without effect, as base_fallback kept the base model: cold_item_scale" in caplog.text


def test_a_base_model_does_not_read_the_key(keys, caplog):
    assert "fallback" not in experiment.run("BPR", "tiny", (), {**keys, **ON})
    assert "not read by BPR: MAX_ITEM_LIST_LENGTH, base_fallback" in caplog.text


def test_nothing_is_trained_twice_where_content_is_off(keys, caplog):
    off = {"item_encoder": "identity", "cmsa_weight": 0.0, "id_start": "random", "id_smoothing": 0.0}
    with caplog.at_level("INFO"):
        result = experiment.run("BPR_SDA", "tiny", (), {**keys, **ON, **off})
    assert "fallback" not in result and "not read by BPR_SDA" in caplog.text


def test_a_damaged_choice_is_named(kept_base):
    assert read_choice(kept_base).carried_out
    text = (kept_base / CHOICE).read_text()
    for damaged, message in (('{"kept": "base"}', "metric"), (text.replace('"base",', '"nobody",'), "kept='nobody'")):
        (kept_base / CHOICE).write_text(damaged)
        with pytest.raises(InputError, match=f"fallback.json.*{message}"):
            load(kept_base)


def test_what_needs_content_says_that_the_base_was_kept(kept_base, data_path):
    with pytest.raises(
        InputError, match="run kept the base model, which validation data preferred; train with --base_fallback"
    ):
        Recommender(kept_base, new_items=str(data_path / "tiny/features/random"))
    assert len(next(iter(Recommender(kept_base).top(["u1"], k=3)))) == 3
