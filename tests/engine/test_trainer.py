"""The trainer: which epoch is the best, and bars of progress."""

import math

import pytest
from recbole.trainer import Trainer

from recbole_sda.engine import experiment
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
