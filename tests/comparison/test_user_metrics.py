"""Metrics of single users from a run's file of ranks."""

import pytest

from recbole_sda.comparison.user_metrics import user_metrics
from recbole_sda.errors import InputError


def test_a_users_metrics(write_run, tmp_path):
    write_run(tmp_path / "run", [1, 4, 20], users=["a", "a", "b"], tail=[True, False, False])
    found = user_metrics(tmp_path / "run", ["hit@10", "mrr@10"])
    assert found.loc["a"].tolist() == [1.0, (1 + 0.25) / 2] and found.loc["b"].tolist() == [0.0, 0.0]
    assert user_metrics(tmp_path / "run", ["recall@10"], "tail").to_dict() == {"recall@10": {"a": 1.0}}
    assert user_metrics(tmp_path / "run", ["recall@10"], "cold").to_dict() == {"recall@10": {"a": 1.0}}
    assert user_metrics(tmp_path / "run", ["recall@10"], "warm").to_dict() == {"recall@10": {"a": 1.0, "b": 0.0}}
    with pytest.raises(InputError, match="metrics: 'hit@ten': expected a name such as hit@10"):
        user_metrics(tmp_path / "run", ["hit@ten"])
    with pytest.raises(InputError, match="ranks-valid.parquet is missing"):
        user_metrics(tmp_path / "run", ["hit@10"], phase="valid")
    (tmp_path / "run/ranks-valid.parquet").write_text("cut off")
    with pytest.raises(InputError, match="ranks-valid.parquet is damaged"):
        user_metrics(tmp_path / "run", ["hit@10"], phase="valid")
