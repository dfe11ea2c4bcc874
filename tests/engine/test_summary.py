"""A run's result in words."""

import pytest

from recbole_sda.engine.summary import describe_cold_items, describe_mode, describe_split, result_table


@pytest.mark.parametrize(
    "split, words",
    [
        ({"LS": "valid_and_test"}, "leave-one-out for validation and test, per user, in time order"),
        ({"RS": [0.8, 0.1, 0.1]}, "ratio 0.8:0.1:0.1, per user, in time order"),
        ({"global_time": [8, 1, 1]}, "global time 8:1:1"),
        ({"global_time": ["2014-01-01", 9]}, "global time, validation from 2014-01-01, test from 9"),
        ({"given": "part"}, "given parts (column part)"),
    ],
)
def test_split(split, words):
    assert describe_split({"split": split, "group_by": "user", "order": "TO"}) == words
    if {"LS", "RS"} & set(split):
        assert describe_split({"split": split, "group_by": "none", "order": "RO"}).endswith("in random order")


@pytest.mark.parametrize(
    "cold, words",
    [
        (None, ""),
        (0.2, ", 20% of the items cold (drawn by seed 7)"),
        ("2014-01-01", ", items first seen from 2014-01-01 on cold"),
    ],
)
def test_cold_items(cold, words):
    assert describe_cold_items({"cold_items": cold, "cold_items_seed": 7}) == words


def test_mode():
    assert [describe_mode(m) for m in ("full", "uni100", "pop50", "labeled")] == [
        "full sort", "100 uniform negatives", "50 popularity-drawn negatives", "labeled"
    ]  # fmt: skip


def test_the_table_names_control_miniature_and_differing_protocols():
    rules = {
        "loss": "CE", "split": "s", "evaluation": {"valid": "full sort", "test": "100 uniform negatives"},
        "history": {"valid": "masked", "test": "masked"}, "history_reason": "auto: no user has an item twice",
        "items": 5, "selection": "NDCG@10 on validation data", "seed": 1,
    }  # fmt: skip
    result = {
        "model": "A_SDA", "dataset": "d-sample", "miniature": True, "protocol": rules, "features": {"shuffled": True},
        "valid": None, "test": {"hit@10": 0.25}, "best_epoch": 2, "epochs_run": 3,
    }  # fmt: skip
    text = result_table(result)
    for part in (
        "(built-in miniature)",
        "control: shuffled features",
        "valid: full sort; test: 100 uniform",
        "epoch 2 of 3",
    ):
        assert part in text
    assert text.splitlines()[-1].split() == ["hit@10", "-", "0.2500"]


def test_groups_are_shown_at_the_cut_off_that_selected_the_epoch():
    from recbole_sda.engine.summary import _group_lines

    row = {"cases": 3, **{f"{name}@{k}": k / 100 for name in ("hit", "ndcg") for k in (5, 10, 20, 50)}}
    groups = {"items": {"tail": row}, "limits": {"tail_items": 4, "short_users": 9}}
    result = {"groups": {"test": groups}, "protocol": {"selection": "NDCG@10 on validation data"}}
    assert "hit@10 0.1000" in _group_lines(result)[1]
    result["protocol"]["selection"] = "AUC on validation data"
    assert "hit@20" in _group_lines(result)[1]
