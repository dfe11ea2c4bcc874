"""Sequential data sets whose columns have other names than RecBole's defaults."""

import numpy as np
import pytest

from recbole_sda.engine.experiment import run
from recbole_sda.model.known_items import history_field, training_pairs

NAMES = {"user_id": "session_id", "item_id": "asin", "timestamp": "time"}
FIELDS = {"USER_ID_FIELD": "session_id", "ITEM_ID_FIELD": "asin", "TIME_FIELD": "time"}
RENAMED = {**FIELDS, "load_col": {"inter": ["session_id", "asin", "time"]}}


@pytest.fixture
def renamed_path(tmp_path, write_tiny):
    """A folder of data sets in which ``tiny`` has other column names."""
    file = write_tiny(tmp_path / "data") / "tiny.inter"
    header, _, rows = file.read_text().partition("\n")
    for old, new in NAMES.items():
        header = header.replace(old, new)
    file.write_text(f"{header}\n{rows}")
    return tmp_path / "data"


@pytest.mark.parametrize(
    "model, keys",
    [
        ("SASRec_SDA", {}),
        ("SASRec", {"fast_sequences": False}),
        ("SASRec", {"loss_type": "BPR", "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}),
        ("GRU4Rec", {"train_mask_history": True, "softmax_negatives": 9}),
        ("NARM", {"eval_args": {"mode": "uni5"}, "mask_validation": False}),
        ("BERT4Rec_SDA", {}),
        ("SequenceKNN", {}),
        ("LightGCN_SDA", {}),
    ],
)
def test_names_of_columns_change_nothing(model, keys, tiny_keys, tmp_path, renamed_path):
    given = {**tiny_keys, "epochs": 1, "runs_path": str(tmp_path / "runs"), **keys}
    usual = run(model, "tiny", (), given)
    renamed = run(model, "tiny", (), {**given, **RENAMED, "data_path": str(renamed_path)})
    assert renamed["test"] == usual["test"] and renamed["valid"] == usual["valid"]


def test_training_pairs_with_other_names(build, renamed_path):
    pairs = []
    for keys in ({}, {**RENAMED, "data_path": str(renamed_path)}):
        training = build("SASRec", **keys).data.train._dataset
        pairs.append(np.stack(training_pairs(training)))
    assert history_field(training) == "asin_list"
    assert np.array_equal(*pairs)
