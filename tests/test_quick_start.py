"""One experiment: the run folder, loading it, going on with it, the miniature, alignment."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from recbole_sda import quick_start
from recbole_sda.checkpoint import BEST, ITEM_IDS, LAST, load_checkpoint, save_checkpoint
from recbole_sda.errors import InputError
from recbole_sda.trainer import RunTrainer

EPOCHS = 4


@pytest.fixture
def keys(tiny_keys, tmp_path):
    return {**tiny_keys, "epochs": EPOCHS, "runs_path": str(tmp_path / "runs")}


def history(run_dir) -> list:
    lines = [json.loads(line) for line in (run_dir / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def comparable(result: dict) -> dict:
    return {k: result[k] for k in ("valid", "test", "best_epoch", "epochs_run", "parameters", "protocol")}


@pytest.fixture
def finished(keys, tmp_path):
    """An uninterrupted run of SASRec_SDA with dropout, and its folder."""
    folder = tmp_path / "whole"
    return quick_start.run("SASRec_SDA", "tiny", (), {**keys, "run_dir": str(folder)}), folder


def test_the_run_folder(finished):
    result, folder = finished
    written = json.loads((folder / "metrics.json").read_text())
    assert written == {"recbole_sda": written["recbole_sda"], **json.loads(json.dumps(result))}
    assert set(result["test"]) == {"hit@5", "hit@10", "ndcg@5", "ndcg@10"} == set(result["valid"])
    assert result["protocol"] == {
        "loss": "CE",
        "split": "leave-one-out for validation and test, per user, in time order",
        "evaluation": {"valid": "full sort", "test": "full sort"},
        "repeatable": True,
        "items": 37,
        "selection": "NDCG@10 on validation data",
        "seed": 2020,
    }
    assert result["training_batches"] == "packed"
    assert result["miniature"] is False and result["environment"]["recbole"].startswith("1.2")
    assert result["features"]["items_missing"]["image"] > 0 and result["features"]["encoder"] == {"model": "random"}
    assert yaml.safe_load((folder / "config.yaml").read_text())["moda_experts"] == 4
    assert "test" in (folder / "run.log").read_text() and list((folder / "tensorboard").iterdir())
    assert (folder / ITEM_IDS).read_text().splitlines()[0] == "[PAD]"
    assert {p.name for p in (folder / "checkpoint").iterdir()} == {"best.pt", "last.pt"}


def test_history_names_every_term_with_gates_and_entropy(finished):
    lines = history(finished[1])
    assert [line["phase"] for line in lines] == ["train", "valid"] * EPOCHS
    for line in lines[::2]:
        assert set(line["loss"]) == {"recommendation", "cmsa"}
        assert line["cmsa/target_entropy"] > 0 and line["cmsa/temperature"] > 0
        gates = [line[f"gate/{name}/{e}"] for name in ("image", "text") for e in range(4)]
        assert sum(gates) == pytest.approx(2)


def test_the_best_epoch_is_chosen_on_validation_data(finished):
    result, folder = finished
    scores = [line["ndcg@10"] for line in history(folder)[1::2]]
    assert scores[result["best_epoch"] - 1] == max(scores) and result["valid"]["ndcg@10"] == pytest.approx(max(scores))
    assert load_checkpoint(folder / BEST)["epoch"] == result["best_epoch"] - 1


@pytest.mark.parametrize(
    "model", ["SASRec_SDA", "BPR_SDA", "LightGCN", "BERT4Rec_SDA", "FREEDOM_SDA", "RecVAE", "MultiVAE"]
)
def test_resumed_equals_uninterrupted(model, keys, tmp_path, monkeypatch):
    """Ctrl-C in the third epoch, after some of its steps; dropout, negatives and shuffles are drawn as without it."""
    whole = quick_start.run(model, "tiny", (), {**keys, "run_dir": str(tmp_path / "whole")})
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
        quick_start.run(model, "tiny", (), {**keys, "run_dir": str(folder)})
    torch.manual_seed(99)
    resumed = quick_start.resume(folder)
    assert comparable(resumed) == comparable(whole)
    assert history(folder) == history(tmp_path / "whole")
    first, second = (load_checkpoint(path / LAST)["state_dict"] for path in (tmp_path / "whole", folder))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize(
    "model", ["SASRec_SDA", "BERT4Rec_SDA", "GRU4Rec", "BPR_SDA", "LightGCN_SDA", "MGCN_SDA", "MMGCN", "FREEDOM"]
)
def test_mixed_precision(model, keys, tmp_path):
    """RecBole's enable_amp; the losses stay in float32, so that results are close to those without it."""
    runs = [
        quick_start.run(
            model, "tiny", (), {**keys, "epochs": 1, "enable_amp": amp, "run_dir": str(tmp_path / f"amp{amp}")}
        )
        for amp in (False, True)
    ]
    losses = [history(Path(run["run_dir"]))[0]["loss"]["recommendation"] for run in runs]
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_finished_run_can_be_trained_longer(finished, keys, tmp_path):
    longer = quick_start.resume(finished[1], {"epochs": EPOCHS + 2})
    whole = quick_start.run("SASRec_SDA", "tiny", (), {**keys, "epochs": EPOCHS + 2, "run_dir": str(tmp_path / "long")})
    assert comparable(longer) == comparable(whole)


def test_resuming_a_finished_run_changes_nothing(finished):
    result, folder = finished
    before = load_checkpoint(folder / BEST)
    assert comparable(quick_start.resume(folder)) == comparable(result)
    after = load_checkpoint(folder / BEST)
    assert before["epoch"] == after["epoch"]
    assert all(torch.equal(value, after["state_dict"][key]) for key, value in before["state_dict"].items())


def test_load_gives_the_best_epoch(finished):
    result, folder = finished
    run = quick_start.load(folder)
    assert not run.model.training
    assert dict(run.trainer.evaluate(run.data.test, load_best_model=False)) == pytest.approx(result["test"])


def test_evaluate_again_under_another_protocol(finished):
    result, folder = finished
    again = quick_start.evaluate(folder)
    assert comparable(again) == comparable(result)
    sampled = quick_start.evaluate(folder, {"eval_args": {"mode": "uni5"}})
    assert sampled["protocol"]["evaluation"]["test"] == "5 uniform negatives"
    assert sampled["test"]["hit@5"] > result["test"]["hit@5"]
    assert len(list(folder.glob("evaluation-*.json"))) >= 1


@pytest.mark.parametrize("changes", [{"split": {"RS": [0.5, 0.25, 0.25]}}, {"split": {"LS": "test_only"}}])
def test_no_evaluation_on_what_was_trained_on(finished, changes):
    with pytest.raises(InputError, match="was trained on other training interactions than tiny has now with these"):
        quick_start.evaluate(finished[1], {"eval_args": changes})


@pytest.mark.parametrize(
    "key, value", [("seed", 3), ("learning_rate", 0.1), ("shuffle_features", True), ("embedding_size", 32)]
)
def test_a_resumed_run_keeps_its_settings(finished, key, value):
    """A refused key leaves the folder as it was."""
    _, folder = finished
    before = {path: path.read_bytes() for path in (folder / "config.yaml", folder / "metrics.json")}
    with pytest.raises(InputError, match=f"--resume=.*: {key} is .* there and stays so, not {value}"):
        quick_start.resume(folder, {"epochs": EPOCHS + 1, key: value})
    assert {path: path.read_bytes() for path in before} == before
    quick_start.load(folder)


def test_a_history_cut_short_by_a_crash(finished):
    _, folder = finished
    with open(folder / "history.jsonl", "a") as file:
        file.write('{"epoch": 4, "phase": "tr')
    longer = quick_start.resume(folder, {"epochs": EPOCHS + 1})
    assert [line["epoch"] for line in history(folder)[::2]] == list(range(EPOCHS + 1))
    assert longer["epochs_run"] == EPOCHS + 1


def test_weights_belong_to_their_users_items_and_features(tiny_keys, tmp_path, write_tiny, other_vectors):
    """RecBole numbers users and items as they appear, so one more interaction can leave all shapes and move all rows."""
    folder = write_tiny(tmp_path / "data")
    keys = {**tiny_keys, "data_path": str(tmp_path / "data"), "runs_path": str(tmp_path / "runs"), "epochs": 1}
    run_dir = quick_start.run("BPR_SDA", "tiny", (), keys)["run_dir"]
    path = folder / "tiny.inter"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines[::-1]]) + "\n")
    for act in (quick_start.load, quick_start.resume):
        with pytest.raises(InputError, match="was trained on other users than tiny has now with these settings, or in"):
            act(run_dir)
    times = [line.rsplit("\t", 1) for line in lines]
    path.write_text("\n".join([header, *(f"{pair}\t-{time}" for pair, time in times)]) + "\n")
    for act in (quick_start.load, quick_start.resume):  # the same users and items, but what was last is now first
        with pytest.raises(InputError, match="was trained on other training interactions than tiny has now"):
            act(run_dir)
    path.write_text("\n".join([header, *lines]) + "\n")
    quick_start.load(run_dir)
    other_vectors(folder)
    with pytest.raises(InputError, match="was trained on other features than tiny has now"):
        quick_start.load(run_dir)


def test_a_controls_features_are_those_of_its_seed(keys):
    run_dir = quick_start.run("BPR_SDA", "tiny", (), {**keys, "epochs": 1, "shuffle_features": True})["run_dir"]
    quick_start.load(run_dir)
    for changes in ({"seed": 3}, {"shuffle_features": False}):
        with pytest.raises(InputError, match="was trained on other features than tiny has now with these settings"):
            quick_start.load(run_dir, changes)


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR"])
@pytest.mark.parametrize("split", [{"LS": "test_only"}, {"RS": [0.8, 0, 0.2]}])
def test_a_split_without_validation(model, split, keys):
    result = quick_start.run(model, "tiny", (), {**keys, "eval_args": {"split": split}})
    assert result["valid"] is None and list(result["groups"]) == ["test"] and result["best_epoch"] == EPOCHS
    assert quick_start.evaluate(result["run_dir"])["test"] == result["test"]


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR"])
@pytest.mark.parametrize("split", [{"LS": "valid_only"}, {"RS": [0.8, 0.2, 0]}])
def test_a_split_without_test_is_refused(model, split, keys):
    with pytest.raises(InputError, match="eval_args: split=.* leaves no interactions for the test part"):
        quick_start.run(model, "tiny", (), {**keys, "eval_args": {"split": split}})


def test_without_validation_the_last_epoch_is_kept(keys, tmp_path):
    folder = tmp_path / "run"
    result = quick_start.run("SASRec_SDA", "tiny", (), {**keys, "eval_step": 0, "run_dir": str(folder)})
    assert result["valid"] is None and load_checkpoint(folder / BEST)["epoch"] == EPOCHS - 1 == result["best_epoch"] - 1


def test_a_checkpoint_of_another_format_is_refused(finished):
    path = finished[1] / BEST
    save_checkpoint(path, {**load_checkpoint(path), "format": 1})
    with pytest.raises(InputError, match="best.pt is a checkpoint of format 1; this version reads 2: train anew"):
        quick_start.load(finished[1])


def test_weights_belong_to_their_inputs(finished):
    _, folder = finished
    for changes in ({"feature_views": []}, {"modalities": ["text", "image"]}):
        with pytest.raises(InputError, match="was trained on other features than tiny has now with these settings"):
            quick_start.load(folder, changes)


def test_a_trainer_with_two_optimisers_keeps_them_apart(keys):
    run = quick_start.open_run(quick_start.run("RecVAE", "tiny", (), {**keys, "epochs": 1})["run_dir"])
    for half in ("encoder", "decoder"):
        ours = {id(p) for group in getattr(run.trainer, f"optimizer_{half}").param_groups for p in group["params"]}
        assert ours == {id(p) for p in getattr(run.model, half).parameters()}


@pytest.mark.parametrize("mode", ["full", "uni5"])
@pytest.mark.parametrize("model", ["LR", "CFKG"])
def test_recboles_context_and_knowledge_models(model, mode, tiny_keys, tmp_path, write_tiny):
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
            quick_start.run(model, "tiny", (), keys)
        keys["train_neg_sample_args"] = {"distribution": "uniform", "sample_num": 1}
    given = {**keys, "epochs": 2, "eval_args": {"mode": mode}}
    result = quick_start.run(model, "tiny", (), given)
    assert 0 < result["test"]["hit@10"] <= 1
    longer = quick_start.resume(result["run_dir"], {"epochs": 3})
    if mode == "full":  # RecBole draws other negatives in every evaluation of these models
        assert comparable(longer) == comparable(quick_start.run(model, "tiny", (), {**given, "epochs": 3}))


@pytest.mark.parametrize("model", ["Pop", "ItemKNN", "BPR", "SASRec", "EASE"])
def test_recboles_own_models_run_and_load(model, keys):
    result = quick_start.run(model, "tiny", (), {**keys, "epochs": 1})
    assert result["features"] is None and 0 <= result["test"]["hit@10"] <= 1
    assert quick_start.evaluate(result["run_dir"])["test"] == result["test"]


def test_base_and_sda_share_split_and_batches(build):
    one, other = build("SASRec"), build("SASRec_SDA")
    for a, b in zip(one.data.train, other.data.train):
        assert all(torch.equal(a[field], b[field]) for field in a.columns)


def test_alignment_with_a_run_of_the_base(keys, tmp_path):
    base = quick_start.run("SASRec", "tiny", (), {**keys, "epochs": 1})
    given = {**keys, "epochs": 1, "alignment_weight": 0.1, "alignment_run": base["run_dir"]}
    result = quick_start.run("SASRec_SDA", "tiny", (), {**given, "run_dir": str(tmp_path / "a")})
    assert set(history(tmp_path / "a")[0]["loss"]) == {"recommendation", "cmsa", "alignment"}
    assert result["protocol"] == base["protocol"]
    with pytest.raises(
        InputError, match="was trained on another part of the same data, which may hold this run's test"
    ):
        quick_start.run("SASRec_SDA", "tiny", (), {**given, "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}})
    with pytest.raises(InputError, match="a run of SASRec; expected one of GRU4Rec"):
        quick_start.run("GRU4Rec_SDA", "tiny", (), given)
    with pytest.raises(InputError, match="item embeddings are 64-d, this model's are 32-d"):
        quick_start.run("SASRec_SDA", "tiny", (), {**given, "hidden_size": 32})
    with pytest.raises(InputError, match="checkpoint .* does not exist"):
        quick_start.run("SASRec_SDA", "tiny", (), {**given, "alignment_run": str(tmp_path / "none")})


def test_a_run_that_cannot_start_leaves_no_folder(keys, tmp_path):
    with pytest.raises(InputError, match="no feature store 'none'"):
        quick_start.run("SASRec_SDA", "tiny", (), {**keys, "features": "none"})
    assert not list((tmp_path / "runs").iterdir())


def test_an_interruption_before_the_first_epoch_leaves_no_folder(keys, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunTrainer, "_train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick_start.run("SASRec_SDA", "tiny", (), keys)
    assert not list((tmp_path / "runs").iterdir())


def test_an_existing_run_folder_is_never_overwritten(finished, keys):
    with pytest.raises(InputError, match="exists already; resume it with --resume="):
        quick_start.run("SASRec_SDA", "tiny", (), {**keys, "run_dir": str(finished[1])})


def test_what_is_not_a_run_folder(tmp_path):
    with pytest.raises(InputError, match="is not a run folder: config.yaml is missing"):
        quick_start.resume(tmp_path)
    with pytest.raises(InputError, match="is not a run folder: config.yaml is missing"):
        quick_start.load(tmp_path)


def test_a_checkpoint_of_other_sizes_is_refused(finished):
    with pytest.raises(InputError, match="best.pt does not fit this configuration: .*size mismatch"):
        quick_start.load(finished[1], {"inner_size": 32})


def test_models_with_trainers_of_their_own(keys):
    with pytest.raises(InputError, match="RaCT is trained in three stages by a trainer of its own"):
        quick_start.run("RaCT", "tiny", (), keys)


def test_the_miniature_is_named_everywhere(tmp_path):
    keys = {"data_path": str(tmp_path / "data"), "runs_path": str(tmp_path / "runs"), "epochs": 1, "use_gpu": False}
    result = quick_start.run("SASRec_SDA", "Amazon_Sports", (), keys)
    assert (
        result["dataset"] == "Amazon_Sports-sample"
        and result["miniature"]
        and "Amazon_Sports-sample" in result["run_dir"]
    )
    folder = next((tmp_path / "runs").iterdir())
    assert load_checkpoint(folder / BEST)["dataset"] == "Amazon_Sports-sample"
    assert "built-in miniature" in (folder / "run.log").read_text()
