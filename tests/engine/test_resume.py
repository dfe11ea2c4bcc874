"""Resuming a run: the same result as without the interruption."""

import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.engine.trainer import RunTrainer
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST, LAST, load_checkpoint, save_checkpoint
from recbole_sda.io.locks import exclusive_lock

CONTENT = {
    "id_start": "features",
    "id_bound": 0.5,
    "id_smoothing": 0.5,
    "id_graph": "both",
    "id_codes": [4, 3],
    "soft_targets": 0.3,
    "soft_targets_epochs": 3.5,
}
MODELS = ["SASRec_SDA", "BPR_SDA", "LightGCN", "BERT4Rec_SDA", "FREEDOM_SDA", "RecVAE", "MultiVAE"]
WITH_CONTENT = [
    ("SASRec_SDA", {**CONTENT, "softmax_negatives": 7, "sparse_updates": True}),
    ("BERT4Rec_SDA", CONTENT),
    ("LightGCN_SDA", CONTENT),
    ("BM3_SDA", CONTENT),
]


@pytest.mark.parametrize("model, more", [*((model, {}) for model in MODELS), *WITH_CONTENT])
def test_resumed_equals_uninterrupted(model, more, keys, tmp_path, monkeypatch, history, comparable):
    """Ctrl-C in the third epoch, after some of its steps; dropout, negatives and shuffles are drawn as without it."""
    keys = {**keys, **more}
    whole = experiment.run(model, "tiny", (), {**keys, "run_dir": str(tmp_path / "whole")})
    folder = tmp_path / "cut"
    train_epoch, calls = RunTrainer._train_epoch, []

    def interrupted(self, train_data, epoch, *args, **kwargs):
        train_epoch_result = train_epoch(self, train_data, epoch, *args, **kwargs)
        if epoch == 2 and not calls:
            calls.append(epoch)
            raise KeyboardInterrupt
        return train_epoch_result

    monkeypatch.setattr(RunTrainer, "_train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(model, "tiny", (), {**keys, "run_dir": str(folder)})
    torch.manual_seed(99)
    resumed = experiment.resume(folder)
    assert comparable(resumed) == comparable(whole)
    assert history(folder) == history(tmp_path / "whole")
    first, second = (load_checkpoint(path / LAST)["state_dict"] for path in (tmp_path / "whole", folder))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_finished_run_can_be_trained_longer(finished, keys, tmp_path, comparable):
    longer = experiment.resume(finished[1], {"epochs": keys["epochs"] + 2})
    whole = experiment.run(
        "SASRec_SDA", "tiny", (), {**keys, "epochs": keys["epochs"] + 2, "run_dir": str(tmp_path / "long")}
    )
    assert comparable(longer) == comparable(whole)


def test_resuming_a_finished_run_changes_nothing(finished, comparable):
    result, folder = finished
    before = load_checkpoint(folder / BEST)
    assert comparable(experiment.resume(folder)) == comparable(result)
    after = load_checkpoint(folder / BEST)
    assert before["epoch"] == after["epoch"]
    assert all(torch.equal(value, after["state_dict"][key]) for key, value in before["state_dict"].items())


@pytest.mark.parametrize(
    "key, value", [("seed", 3), ("learning_rate", 0.1), ("shuffle_features", True), ("embedding_size", 32)]
)
def test_a_resumed_run_keeps_its_settings(finished, key, value, keys):
    """A refused key leaves the folder as it was."""
    _, folder = finished
    before = {path: path.read_bytes() for path in (folder / "config.yaml", folder / "metrics.json")}
    with pytest.raises(InputError, match=f"--resume=.*: {key} is .* in this run and cannot become {value}"):
        experiment.resume(folder, {"epochs": keys["epochs"] + 1, key: value})
    assert {path: path.read_bytes() for path in before} == before
    experiment.load(folder)


def test_epochs_without_an_evaluation_are_kept(keys, tmp_path, monkeypatch, comparable, history):
    """Interrupted in the third epoch of those between two evaluations."""
    given = {**keys, "epochs": 6, "eval_step": 5}
    whole = experiment.run("SASRec_SDA", "tiny", (), {**given, "run_dir": str(tmp_path / "whole")})
    train_epoch = RunTrainer._train_epoch

    def interrupted(self, train_data, epoch, *args, **kwargs):
        if epoch == 2:
            raise KeyboardInterrupt
        return train_epoch(self, train_data, epoch, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="continue with --resume="):
        patch.setattr(RunTrainer, "_train_epoch", interrupted)
        experiment.run("SASRec_SDA", "tiny", (), {**given, "run_dir": str(tmp_path / "cut")})
    assert len(history(tmp_path / "cut")) == 2
    assert comparable(experiment.resume(tmp_path / "cut")) == comparable(whole)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")


def test_one_process_uses_a_run_folder(finished, keys):
    _, folder = finished
    with (
        exclusive_lock(folder / ".lock", ""),
        pytest.raises(InputError, match="whole: another process is using this run folder"),
    ):
        experiment.resume(folder, {"epochs": keys["epochs"] + 1})
    experiment.resume(folder, {"epochs": keys["epochs"] + 1})


def test_a_history_cut_short_by_a_crash(finished, history, keys):
    _, folder = finished
    with open(folder / "history.jsonl", "a") as file:
        file.write('{"epoch": 4, "phase": "tr')
    longer = experiment.resume(folder, {"epochs": keys["epochs"] + 1})
    assert [line["epoch"] for line in history(folder)[::2]] == list(range(keys["epochs"] + 1))
    assert longer["epochs_run"] == keys["epochs"] + 1


@pytest.mark.parametrize("mode", ["full", "uni5"])
@pytest.mark.parametrize("model", ["LR", "CFKG"])
def test_recboles_context_and_knowledge_models(model, mode, tiny_keys, tmp_path, write_tiny, comparable):
    folder = write_tiny(tmp_path / "data")
    facts = [(f"e{k}", "r", f"e{(7 * k + 3) % 37}") for k in range(37)]
    text = "".join("\t".join(fact) + "\n" for fact in facts)
    (folder / "tiny.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\n" + text)
    links = "".join(f"i{k}\te{k}\n" for k in range(37))
    (folder / "tiny.link").write_text("item_id:token\tentity_id:token\n" + links)
    columns = {"inter": ["user_id", "item_id", "timestamp"], "kg": ["head_id", "relation_id", "tail_id"],
               "link": ["item_id", "entity_id"]}  # fmt: skip
    keys = {**tiny_keys, "data_path": str(tmp_path / "data"), "runs_path": str(tmp_path / "runs"), "load_col": columns}
    if model == "LR":
        with pytest.raises(InputError, match="LR learns from labels, and tiny has no column 'label': give threshold"):
            experiment.run(model, "tiny", (), keys)
        keys["train_neg_sample_args"] = {"distribution": "uniform", "sample_num": 1}
    given = {**keys, "epochs": 2, "eval_args": {"mode": mode}}
    result = experiment.run(model, "tiny", (), given)
    assert 0 < result["test"]["hit@10"] <= 1
    longer = experiment.resume(result["run_dir"], {"epochs": 3})
    if mode == "full":  # RecBole draws other negatives in every evaluation of these models
        assert comparable(longer) == comparable(experiment.run(model, "tiny", (), {**given, "epochs": 3}))


def test_a_trainer_with_two_optimizers_keeps_both(keys):
    run = experiment.open_run(experiment.run("RecVAE", "tiny", (), {**keys, "epochs": 1})["run_dir"])
    for half in ("encoder", "decoder"):
        ours = {id(p) for group in getattr(run.trainer, f"optimizer_{half}").param_groups for p in group["params"]}
        assert ours == {id(p) for p in getattr(run.model, half).parameters()}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.update(epoch=9), r"epoch=9, but the last epoch in .*history.jsonl is 3"),
        (lambda s: s.update(best_epoch=4), "best_epoch=4, expected at most epoch=3"),
        (
            lambda s: s.update(best_valid_score=0.99),
            "best_valid_score=0.99, but ndcg@10=.* validated by another metric",
        ),
        (lambda s: s["warmup"].update(steps=[1, 2, 3]), "warmup: steps of 3 optimizers, expected 1"),
        (lambda s: s.update(other_parameter={"forward": 1}), r"other_parameter has \['forward'\], expected \[\]"),
        (
            lambda s: s["attributes"].update({"model.forward": 1}),
            "last.pt: attributes: model.forward would replace a method",
        ),
        (lambda s: s["rng"].update(numpy=["MT19937", torch.ones(3), 0, 0, 0.0]), "no state of a random stream"),
        (
            lambda s: s.update(state_dict={name: value.long() for name, value in s["state_dict"].items()}),
            "is of the type torch.int64, expected torch.float32",
        ),
    ],
)
def test_a_state_that_is_none_of_this_training(finished, change, message):
    """Whoever wrote it again also wrote its hash."""
    _, folder = finished
    state = load_checkpoint(folder / LAST)
    change(state)
    save_checkpoint(folder / LAST, state)
    with pytest.raises(InputError, match=message):
        experiment.resume(folder, {"epochs": 5})


def test_unfinished_files_of_a_killed_process_are_removed(finished):
    _, folder = finished
    drafts = [folder / ".metrics.json.0123abcd", folder / "checkpoint" / ".last.pt.0123abcd"]
    for draft in drafts:
        draft.write_text("x")
    experiment.resume(folder, {"epochs": 5})
    assert not any(draft.exists() for draft in drafts)
