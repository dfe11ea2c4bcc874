"""One run: its folder, its protocol, and inputs that it refuses."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from recbole.utils.case_study import full_sort_scores

from recbole_sda.engine import experiment
from recbole_sda.engine.trainer import RunTrainer
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST, ITEM_IDS, load_checkpoint


def test_the_run_folder(finished):
    result, folder = finished
    written = json.loads((folder / "metrics.json").read_text())
    assert written == {"recbole_sda": written["recbole_sda"], **json.loads(json.dumps(result))}
    assert set(result["test"]) == {"hit@5", "hit@10", "ndcg@5", "ndcg@10"} == set(result["valid"])
    assert result["protocol"] == {
        "loss": "CE",
        "split": "leave-one-out for validation and test, per user, in time order",
        "evaluation": {"valid": "full sort", "test": "full sort"},
        "history": {"valid": "masked", "test": "masked"},
        "history_reason": "auto: no user has an item twice",
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


def test_history_names_every_term_with_gates_and_entropy(finished, history, keys):
    lines = history(finished[1])
    assert [line["phase"] for line in lines] == ["train", "valid"] * keys["epochs"]
    for line in lines[::2]:
        assert set(line["loss"]) == {"recommendation", "cmsa"}
        assert line["cmsa/target_entropy"] > 0 and line["cmsa/temperature"] > 0
        gates = [line[f"gate/{name}/{e}"] for name in ("image", "text") for e in range(4)]
        assert sum(gates) == pytest.approx(2)


def test_the_best_epoch_is_chosen_on_validation_data(finished, history):
    result, folder = finished
    scores = [line["ndcg@10"] for line in history(folder)[1::2]]
    assert scores[result["best_epoch"] - 1] == max(scores) and result["valid"]["ndcg@10"] == pytest.approx(max(scores))
    assert load_checkpoint(folder / BEST)["epoch"] == result["best_epoch"] - 1


@pytest.mark.parametrize(
    "model", ["SASRec_SDA", "BERT4Rec_SDA", "GRU4Rec", "BPR_SDA", "LightGCN_SDA", "MGCN_SDA", "MMGCN", "FREEDOM"]
)
def test_mixed_precision(model, keys, tmp_path, history):
    """RecBole's enable_amp; the losses stay in float32, so that results are close to those without it."""
    runs = [
        experiment.run(
            model, "tiny", (), {**keys, "epochs": 1, "enable_amp": amp, "run_dir": str(tmp_path / f"amp{amp}")}
        )
        for amp in (False, True)
    ]
    losses = [history(Path(run["run_dir"]))[0]["loss"]["recommendation"] for run in runs]
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR"])
@pytest.mark.parametrize("split", [{"LS": "test_only"}, {"RS": [0.8, 0, 0.2]}])
def test_a_split_without_validation(model, split, keys):
    result = experiment.run(model, "tiny", (), {**keys, "eval_args": {"split": split}})
    assert result["protocol"]["selection"] == "no validation, the last is kept"
    assert result["valid"] is None and list(result["groups"]) == ["test"] and result["best_epoch"] == keys["epochs"]
    assert experiment.evaluate(result["run_dir"])["test"] == result["test"]


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR"])
@pytest.mark.parametrize("split", [{"LS": "valid_only"}, {"RS": [0.8, 0.2, 0]}])
def test_a_split_without_test_is_refused(model, split, keys):
    with pytest.raises(InputError, match="eval_args: split=.* leaves no interactions for the test part"):
        experiment.run(model, "tiny", (), {**keys, "eval_args": {"split": split}})


def test_without_validation_the_last_epoch_is_kept(keys, tmp_path):
    folder = tmp_path / "run"
    result = experiment.run("SASRec_SDA", "tiny", (), {**keys, "eval_step": 0, "run_dir": str(folder)})
    assert (
        result["valid"] is None
        and load_checkpoint(folder / BEST)["epoch"] == keys["epochs"] - 1 == result["best_epoch"] - 1
    )


@pytest.mark.parametrize("model", ["Pop", "ItemKNN", "BPR", "SASRec", "EASE"])
def test_recboles_own_models_run_and_load(model, keys):
    """Hit@10 is that of the ranks of each user's last item among the scores of RecBole's own full sort.

    RecBole masks no history of a sequential model.
    """
    result = experiment.run(model, "tiny", (), {**keys, "epochs": 1, "mask_history": model != "SASRec"})
    assert result["features"] is None
    assert experiment.evaluate(result["run_dir"])["test"] == result["test"]
    run = experiment.load(result["run_dir"])
    users, items = (run.data.test.dataset.inter_feat[field] for field in ("user_id", "item_id"))
    scores = full_sort_scores(users.tolist(), run.model, run.data.test)
    ranks = (scores >= scores.gather(1, items.unsqueeze(1))).sum(dim=1)
    assert len(ranks) == 43 and result["test"]["hit@10"] == pytest.approx((ranks <= 10).float().mean().item(), abs=1e-6)


def test_models_with_trainers_of_their_own(keys):
    with pytest.raises(InputError, match="RaCT is trained in three stages by a trainer of its own"):
        experiment.run("RaCT", "tiny", (), keys)


def test_teachers_of_the_search_space_run_with_one_modality(keys):
    """InfoNCE has no target entropy; with one modality neither it nor CMSA has a pair."""
    for teacher in ("identity", "features"):
        given = {**keys, "epochs": 1, "cmsa_teacher": teacher, "modalities": ["text"]}
        assert experiment.run("BPR_SDA", "tiny", (), given)["test"]
    with pytest.raises(InputError, match="'text' is given twice"):
        experiment.run("BPR_SDA", "tiny", (), {**keys, "modalities": ["text", "text"]})


def test_base_and_sda_share_split_and_batches(build):
    one, other = build("SASRec"), build("SASRec_SDA")
    for a, b in zip(one.data.train, other.data.train):
        assert all(torch.equal(a[field], b[field]) for field in a.columns)


def test_alignment_with_a_run_of_the_base(keys, tmp_path, history):
    base = experiment.run("SASRec", "tiny", (), {**keys, "epochs": 1})
    given = {**keys, "epochs": 1, "alignment_weight": 0.1, "alignment_run": base["run_dir"]}
    result = experiment.run("SASRec_SDA", "tiny", (), {**given, "run_dir": str(tmp_path / "a")})
    assert set(history(tmp_path / "a")[0]["loss"]) == {"recommendation", "cmsa", "alignment"}
    assert result["protocol"] == base["protocol"]
    with pytest.raises(
        InputError, match="was trained on another part of the same data, which may hold this run's test"
    ):
        experiment.run("SASRec_SDA", "tiny", (), {**given, "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}})
    with pytest.raises(InputError, match="a run of SASRec; expected one of GRU4Rec"):
        experiment.run("GRU4Rec_SDA", "tiny", (), given)
    with pytest.raises(InputError, match="item embeddings are 64-d, this model's are 32-d"):
        experiment.run("SASRec_SDA", "tiny", (), {**given, "hidden_size": 32})
    with pytest.raises(InputError, match="alignment_run=.*: expected the folder of a finished run"):
        experiment.run("SASRec_SDA", "tiny", (), {**given, "alignment_run": str(tmp_path / "none")})


def test_a_run_that_cannot_start_leaves_no_folder(keys, tmp_path):
    with pytest.raises(InputError, match="no feature store 'none'"):
        experiment.run("SASRec_SDA", "tiny", (), {**keys, "features": "none"})
    assert not list((tmp_path / "runs").iterdir())


def test_an_interruption_before_the_first_epoch_leaves_no_folder(keys, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunTrainer, "_train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.run("SASRec_SDA", "tiny", (), keys)
    assert not list((tmp_path / "runs").iterdir())


def test_an_existing_run_folder_is_never_overwritten(finished, keys):
    with pytest.raises(InputError, match="exists already; resume it with --resume="):
        experiment.run("SASRec_SDA", "tiny", (), {**keys, "run_dir": str(finished[1])})


def test_the_miniature_is_named_everywhere(miniature_path, tmp_path):
    keys = {"data_path": str(miniature_path), "runs_path": str(tmp_path / "runs"), "epochs": 1, "use_gpu": False}
    result = experiment.run("SASRec_SDA", "Amazon_Sports", (), keys)
    assert (
        result["dataset"] == "Amazon_Sports-sample"
        and result["miniature"]
        and "Amazon_Sports-sample" in result["run_dir"]
    )
    folder = next((tmp_path / "runs").iterdir())
    assert load_checkpoint(folder / BEST)["dataset"] == "Amazon_Sports-sample"
    assert "built-in miniature" in (folder / "run.log").read_text()


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"hidden_act": "foo"}, "hidden_act='foo': allowed are gelu, relu"),
        ({"attn_dropout_prob": 3}, "attn_dropout_prob=3: expected a number at least 0"),
        ({"n_heads": 3}, "SASRec cannot be made .*multiple"),
        ({"save_dataset": True}, "save_dataset=True: data are read anew"),
        ({"runs_path": None}, "runs_path=None: expected a folder"),
    ],
)
def test_values_of_which_no_run_can_be_made(tiny_keys, tmp_path, keys, message):
    with pytest.raises(InputError, match=message):
        experiment.run("SASRec", "tiny", (), {**tiny_keys, "runs_path": str(tmp_path), **keys})
    assert not list(tmp_path.iterdir())
