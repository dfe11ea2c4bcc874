"""Which keys a search may have values for."""

import pytest

from recbole_sda.comparison.planned_evaluation import PROTOCOL_KEYS
from recbole_sda.config.recbole_keys import RECBOLE_KEYS
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.tune.search import Search
from recbole_sda.tune.space import Domain, Space
from recbole_sda.tune.space_file import read_space
from recbole_sda.tune.space_keys import COMMON, check_space_keys

VALUES = {
    "valid_metric": ["NDCG@10", "NDCG@5"], "topk": [[5], [10]], "metrics": [["NDCG"], ["Hit"]], "seed": [1, 2],
    "eval_args": [{"mode": "uni5"}, {"mode": "full"}], "eval_negatives_seed": [1, 2], "mask_history": [True, False],
    "mask_validation": [True, False], "user_inter_num_interval": ["[3,inf)", "[5,inf)"], "cold_items": [0.1, 0.2],
    "dataset": ["a", "b"], "TIME_FIELD": ["a", "b"], "valid_metric_bigger": [True, False],
}  # fmt: skip


@pytest.mark.parametrize("key", VALUES)
def test_keys_that_make_trials_incomparable_are_refused_in_one_line(key, tiny_keys, tmp_path):
    space = Space({key: Domain("choice", VALUES[key])}, samples=None)
    given = {name: value for name, value in tiny_keys.items() if name != key}
    with pytest.raises(InputError, match=f"^search space: {key} cannot be searched for: .*--{key}=VALUE$"):
        Search("SASRec_SDA", "tiny", space, (), given, tmp_path)
    with pytest.raises(InputError, match=f"search space: {key} cannot be searched for"):
        Search("SASRec_SDA", "tiny", Space({"pair": Domain("together", [{key: VALUES[key][0]}])}), (), given, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_no_trial_reads_is_refused():
    with pytest.raises(InputError, match="space: base_fallback cannot be searched for: trials train no base model"):
        check_space_keys("space", ["base_fallback"], "BPR_SDA", {})


def test_keys_of_the_model_and_its_training_are_searched():
    for key in ("learning_rate", "MAX_ITEM_LIST_LENGTH", "feature_views", "cold_item_scale", "train_batch_size"):
        check_space_keys("search space", [key], "SASRec_SDA", {})
    assert not {*read_yaml(properties_dir() / "sda.yaml"), *read_yaml(properties_dir() / "features.yaml")} & COMMON
    for path in (properties_dir() / "search").glob("*.yaml"):
        space = read_space(path)
        for part in [space] if isinstance(space, Space) else [stage.space for stage in space.stages]:
            check_space_keys(str(path), part.keys, "SASRec_SDA", {})


def test_the_keys_of_a_further_protocol_are_among_them():
    assert PROTOCOL_KEYS - COMMON == {"cold_item_scale"}
    known = {*RECBOLE_KEYS, *read_yaml(properties_dir() / "run.yaml"), "model", "dataset", "config_files"}
    assert COMMON <= known
