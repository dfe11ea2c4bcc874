"""The trainer: which epoch is the best, and bars of progress."""

import math
from pathlib import Path

import pytest
from recbole.trainer import Trainer

from recbole_sda.engine import experiment
from recbole_sda.engine.run_folder import read_metrics
from recbole_sda.engine.summary import result_table
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST, load_checkpoint


@pytest.mark.parametrize("bigger, scores", [(True, [0.3, 0.5, 0.5, 0.4]), (False, [0.5, 0.3, 0.3, 0.4])])
def test_the_later_one_of_two_equal_epochs_is_the_best(build, tmp_path, monkeypatch, bigger, scores):
    """As in RecBole's early stopping. Weights and ranking are those of that epoch."""
    valid_epoch, rankings = Trainer._valid_epoch, []

    def scored(self, valid_data, show_progress=False):
        _, result = valid_epoch(self, valid_data, show_progress)
        rankings.append(self.eval_collector.ranking)
        return scores[len(rankings) - 1], result

    monkeypatch.setattr(Trainer, "_valid_epoch", scored)
    run = experiment.build(build.config("BPR", epochs=4, stopping_step=10), tmp_path)
    run.trainer.valid_metric_bigger = bigger
    run.trainer.best_valid_score = -math.inf if bigger else math.inf
    run.trainer.fit(run.data.train, run.data.valid)
    assert len(rankings) == 4
    assert run.trainer.best_epoch == load_checkpoint(tmp_path / BEST)["epoch"] == 2
    assert run.trainer.best_ranking is rankings[2]


@pytest.mark.parametrize("shown", [True, False])
def test_show_progress_shows_bars_of_training_and_evaluation(keys, capsys, shown):
    result = experiment.run("BPR", "tiny", (), {**keys, "epochs": 1, "show_progress": shown})
    text = capsys.readouterr().err
    assert ("Train     0" in text) == ("Evaluate" in text) == shown
    experiment.evaluate(result["run_dir"], {"show_progress": shown})
    assert ("Evaluate" in capsys.readouterr().err) == shown


@pytest.fixture
def labels(tmp_path, tiny_keys):
    """Keys of a run on data whose validation and test labels are all 1, where AUC is not defined."""
    (tmp_path / "toy").mkdir()
    rows = [f"u{u}\ti{(3 * u + t) % 9}\t{int(t > 2) or t % 2}\t{t}" for u in range(9) for t in range(5)]
    header = "user_id:token\titem_id:token\tlabel:float\ttimestamp:float"
    (tmp_path / "toy/toy.inter").write_text("\n".join([header, *rows]) + "\n")
    columns = {"inter": ["user_id", "item_id", "label", "timestamp"]}
    return {**tiny_keys, "data_path": str(tmp_path), "load_col": columns, "eval_args": {"mode": "labeled"}, "topk": [3],
            "metrics": ["AUC", "LogLoss"], "run_dir": str(tmp_path / "run")}  # fmt: skip


def test_a_metric_that_is_not_defined_is_null_and_read_again(labels):
    result = experiment.run("FM", "toy", (), {**labels, "valid_metric": "LogLoss"})
    stored = read_metrics(Path(result["run_dir"]))["test"]
    assert stored["auc"] is None and stored["logloss"] > 0
    for again in (experiment.evaluate(result["run_dir"]), experiment.resume(result["run_dir"], {"epochs": 3})):
        assert math.isnan(again["test"]["auc"]) and "auc" in result_table(again)


def test_a_valid_metric_that_is_not_defined_is_refused(labels):
    with pytest.raises(InputError, match="run: epoch 1: valid_metric=auc is not defined on the validation data"):
        experiment.run("FM", "toy", (), {**labels, "valid_metric": "AUC"})
