"""Log of a training."""

import json

import pytest

from recbole_sda.engine.train_log import (
    HISTORY,
    append_history,
    epoch_line,
    mean_losses,
    read_history,
    truncate_history,
)


@pytest.mark.parametrize(
    "losses, names, means",
    [
        (6.0, (), {"recommendation": 3.0}),
        ((6.0, 1.0), ("recommendation", "cmsa"), {"recommendation": 3.0, "cmsa": 0.5}),
        ((6.0, 1.0), ("recommendation",), {"loss_1": 3.0, "loss_2": 0.5}),
        (6.0, ("recommendation", "cmsa"), {"recommendation": 3.0}),
    ],
)
def test_terms_of_the_loss_are_means_over_batches(losses, names, means):
    assert mean_losses(losses, names, 2) == means


def test_an_epoch_is_counted_from_one():
    line = epoch_line(0, 2.04, {"recommendation": 3.0, "cmsa": 0.5}, {"cmsa/target_entropy": 1.234})
    assert line == "epoch 1: 2.0s | loss: recommendation 3.0000, cmsa 0.5000, target entropy 1.23"
    assert epoch_line(9, 0.0, {"recommendation": 3.0}, {}) == "epoch 10: 0.0s | loss: recommendation 3.0000"


def test_a_history_is_truncated_to_whole_epochs(tmp_path):
    assert read_history(tmp_path) == []
    for epoch in range(3):
        append_history(tmp_path, {"epoch": epoch, "phase": "train", "seconds": 1.0})
        append_history(tmp_path, {"epoch": epoch, "phase": "valid"})
    with open(tmp_path / HISTORY, "a") as file:
        file.write('{"epoch": 3, "ph')
    truncate_history(tmp_path, 2)
    lines = [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 0, 1, 1] and lines == read_history(tmp_path)


def test_an_infinite_diagnostic_can_be_read_again(tmp_path):
    append_history(tmp_path, {"epoch": 0, "phase": "valid", "a": float("inf"), "b": float("nan")})
    (line,) = read_history(tmp_path)
    assert line["a"] != line["a"] and line["b"] != line["b"]
