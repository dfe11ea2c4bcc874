"""The item table of a base model's run: rows by token, and what is refused."""

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import TRAINING, data_identity
from recbole_sda.model.id_table import load_item_table
from recbole_sda.model.item_features import item_tokens


def load(run, base="BPR", dim=64):
    return load_item_table(run.path, run.dataset, base, "item_embedding", dim)


def test_rows_of_the_same_data_are_the_run_s(base_run):
    run = base_run()
    table, available = load(run)
    assert available.tolist() == [False] + [True] * 37 and table.dtype == torch.float32
    assert torch.equal(table[1:], run.table[1:]) and not table[0].any()


@pytest.mark.parametrize("differs", ["users", "items"])
def test_rows_follow_the_tokens_of_other_data(base_run, build, caplog, differs):
    """The run has the items in reverse, and others in place of three of them."""
    dataset = build("BPR").data.train._dataset
    tokens = item_tokens(dataset)
    reverse = [tokens[0], *tokens[:0:-1]]
    reverse[5:8] = ["x", "y", "z"]
    run = base_run(tokens=reverse, identity={**data_identity(dataset), differs: "others", TRAINING: "others"})
    table, available = load(run)
    for item, token in enumerate(tokens):
        expected = run.table[reverse.index(token)] if token in reverse[1:] else torch.zeros(64)
        assert torch.equal(table[item], expected), token
        assert available[item] == (token in reverse[1:])
    assert int(available.sum()) == 34
    assert "trained on other data; make sure that they do not hold this run's test part" in caplog.text


def test_what_is_refused(base_run):
    run = base_run()
    with pytest.raises(InputError, match="alignment_run=gone: expected the folder of a finished run"):
        load_item_table("gone", run.dataset, "BPR", "item_embedding", 64)
    with pytest.raises(InputError, match="a run of BPR; expected one of SASRec, trained on ids alone"):
        load(run, base="SASRec")
    with pytest.raises(InputError, match="item embeddings are 64-d, this model's are 32-d"):
        load(run, dim=32)
    with pytest.raises(InputError, match="has none of the data set's items"):
        load(base_run(tokens=["[PAD]", *(f"other{k}" for k in range(37))]))
    with pytest.raises(InputError, match="was trained on another part of the same data"):
        load(base_run(identity={**data_identity(run.dataset), TRAINING: "another"}))
