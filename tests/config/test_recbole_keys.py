"""Every documented key of RecBole, and every part of a key that is a dict, is honoured, refused or named in a warning."""

from pathlib import Path

import pytest
import recbole
import yaml
from recbole.utils import argument_list

from recbole_sda.config.recbole_keys import HONOURED, RECBOLE_KEYS, REFUSED, WARNED, keys_table
from recbole_sda.config.run_config import RunConfig
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import YamlLoader

RECBOLE = Path(recbole.__file__).parent / "properties"
ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = {
    key: value
    for name in ("overall.yaml", "dataset/sample.yaml")
    for key, value in yaml.load((RECBOLE / name).read_text(encoding="utf-8"), YamlLoader).items()
}
BPR, SASREC = "BPR", "SASRec"
UNIFORM = {"distribution": "uniform", "sample_num": 2}
# Key -> (model, values that a run takes, values that it refuses). Every documented key is here.
TRIALS = {
    "gpu_id": (BPR, ["0", ""], []),
    "worker": (BPR, [0, 2], [-1, "two", 1.5]),
    "use_gpu": (BPR, [False], ["no", 2]),
    "seed": (BPR, [0, 5], [-1, "a"]),
    "state": (BPR, ["info", "WARNING"], ["loud"]),
    "reproducibility": (BPR, [False], ["maybe"]),
    "data_path": (BPR, ["elsewhere/"], [3]),
    "checkpoint_dir": (BPR, ["here"], [5]),
    "show_progress": (BPR, [True], ["some"]),
    "save_dataset": (BPR, [False], [True]),
    "dataset_save_path": (BPR, [None], ["x.pth"]),
    "save_dataloaders": (BPR, [False], [True]),
    "dataloaders_save_path": (BPR, [None], ["x.pth"]),
    "log_wandb": (BPR, [False], ["yes", True]),  # True: wandb is not installed here
    "wandb_project": (BPR, ["mine"], [[1]]),
    "shuffle": (BPR, [False], [1]),
    "epochs": (BPR, [3], [0, "x"]),
    "train_batch_size": (BPR, [7], [0, 1.5]),
    "learner": (BPR, ["sgd"], ["sdg"]),
    "learning_rate": (BPR, [0.1], [0, "fast"]),
    "train_neg_sample_args": (
        BPR,
        [UNIFORM, {"distribution": "popularity", "alpha": 0.5}, {**UNIFORM, "dynamic": True, "candidate_num": 2}],
        [None, 4, {"uniform": 4}, {**UNIFORM, "sample_nums": 4}, {**UNIFORM, "sample_num": 0}, {**UNIFORM, "sample_num": -1},
         {**UNIFORM, "sample_num": 1.5}, {**UNIFORM, "sample_num": "two"}, {"distribution": "normal"}, {**UNIFORM, "alpha": 0.5},
         {**UNIFORM, "dynamic": True}, {**UNIFORM, "candidate_num": 3}, {**UNIFORM, "dynamic": 1}, {"sample_num": 1}],
    ),
    "eval_step": (BPR, [2], [-1]),
    "stopping_step": (BPR, [0], [-1]),
    "clip_grad_norm": (
        BPR, [{"max_norm": 5, "norm_type": 2}, {"max_norm": 0.5}],
        [0.5, {"max_norms": 5}, {"max_norm": -1}, {"norm_type": 2}, {"max_norm": "x"}, [5]],
    ),
    "weight_decay": (BPR, [0.1], [-1]),
    "loss_decimal_place": (BPR, [2], [0]),
    "require_pow": (BPR, [True], ["x"]),
    "enable_amp": (BPR, [True], ["x"]),
    "enable_scaler": (BPR, [True], ["x"]),
    "transform": ("BERT4Rec", ["mask_itemseq"], ["mask", "user_defined", "crop_itemseq", ["mask_itemseq"]]),
    "eval_args": (
        BPR,
        [{"mode": "uni5"}, {"mode": {"valid": "full", "test": "uni5"}}, {"split": {"RS": [8, 1, 1]}}, {"order": "RO"}],
        [3, {"modes": "full"}, {"mode": "uni"}, {"mode": {"vald": "full"}}, {"split": {"RS": [1]}}, {"split": {"XX": 1}},
         {"order": "XX"}, {"group_by": "users"}],
    ),
    "repeatable": (BPR, [True], ["x"]),
    "metrics": (BPR, ["NDCG", ["NDCG", "Hit"]], [["NDGC", "NDCG"], 5]),
    "topk": (BPR, [10, [10, 20]], [0, "ten"]),
    "valid_metric": (BPR, ["ndcg@10"], ["NDCG@7", 5]),
    "valid_metric_bigger": (BPR, [True], [False, "x"]),
    "eval_batch_size": (BPR, [10], [0]),
    "metric_decimal_place": (BPR, [3], [0]),
    "field_separator": (BPR, [","], [5]),
    "seq_separator": (BPR, [";"], [5]),
    "USER_ID_FIELD": (BPR, ["session"], [["a"]]),
    "ITEM_ID_FIELD": (BPR, ["asin"], [["a"]]),
    "RATING_FIELD": ("DMF", ["stars"], [["a"]]),
    "TIME_FIELD": (BPR, ["time"], [["a"]]),
    "seq_len": (BPR, [{"title": 5}], [2, {"title": 0}, {"title": "five"}, ["title"], {}]),
    "LABEL_FIELD": (BPR, ["click"], [["a"]]),
    "threshold": ("LR", [{"rating": 3}], [3, {"rating": "x"}, {"a": 1, "b": 2}, ["rating"]]),
    "NEG_PREFIX": (BPR, ["n_"], [5]),
    "numerical_features": ("LR", [["price"], "price"], [5, {"price": 1}]),
    "load_col": (BPR, [{"inter": ["user_id", "item_id"]}, {"inter": "*"}, None], ["inter", {"item": ["item_id"]}, {"inter": 5}]),
    "unload_col": (BPR, [{"inter": ["rating"]}, {"inter": "rating"}], [["rating"], {"inter": 5}]),
    "unused_col": (BPR, [{"inter": ["timestamp"]}], [["timestamp"], "timestamp"]),
    "additional_feat_suffix": (BPR, [["ent"], "ent"], [5, {"a": 1}]),
    "rm_dup_inter": (BPR, ["first", "last"], ["fist", True]),
    "val_interval": (
        BPR, [{"rating": "[3,inf)"}, {"rating": "(-inf,0);(3,5]"}, {"brand": ["a", "b"]}, {"rating": [3, 5]}],
        [{"rating": "3-5"}, {"rating": 3}, "[3,5]", ["rating"], {"rating": "[a,b]"}, {"rating": "[5,3]"}],
    ),
    "filter_inter_by_user_or_item": (BPR, [False], ["x"]),
    "user_inter_num_interval": (
        BPR, ["[5,inf)", "(2, 9]", [5, 10], "[0,2];[5,inf)"], [9, "9", "[a,b]", [5], "[9,5]", "5,inf", True]
    ),
    "item_inter_num_interval": (BPR, ["[5,inf)"], [9, "[5,inf"]),
    "alias_of_user_id": (BPR, [["friend"], "friend"], [5, {"a": 1}]),
    "alias_of_item_id": (BPR, [["other"], "other"], [5, [["x"]]]),
    "alias_of_entity_id": ("CFKG", [["e"], "e"], [5]),
    "alias_of_relation_id": ("CFKG", [["r"], "r"], [5]),
    "preload_weight": ("KSR", [{"ent_id": "ent_emb"}], ["ent_emb", {"ent_id": 5}]),
    "normalize_field": (BPR, [["rating"], "rating"], [5]),
    "normalize_all": (BPR, [True], ["x"]),
    "discretization": (
        "LR", [{"price": {"method": "ED", "bucket": 5}}, {"price": {"method": "LD"}}],
        ["ED", {"price": "ED"}, {"price": {"method": "XD"}}, {"price": {"method": "ED", "buckets": 5}}, {"price": {"bucket": 5}},
         {"price": {"method": "ED", "bucket": 0}}],
    ),
    "ITEM_LIST_LENGTH_FIELD": (SASREC, ["n"], [5]),
    "LIST_SUFFIX": (SASREC, ["_seq"], [5]),
    "MAX_ITEM_LIST_LENGTH": (SASREC, [20], [0, 1.5]),
    "POSITION_FIELD": (SASREC, ["p"], [5]),
    "HEAD_ENTITY_ID_FIELD": ("CFKG", ["h"], [5]),
    "TAIL_ENTITY_ID_FIELD": ("CFKG", ["t"], [5]),
    "RELATION_ID_FIELD": ("CFKG", ["r"], [5]),
    "ENTITY_ID_FIELD": ("CFKG", ["e"], [5]),
    "kg_reverse_r": ("CFKG", [True], ["x"]),
    "entity_kg_num_interval": ("CFKG", ["[2,inf)"], [9]),
    "relation_kg_num_interval": ("CFKG", ["[2,inf)"], [9]),
    "benchmark_filename": (BPR, [["train", "valid", "test"]], ["train", ["train", "test"], 5]),
    "config_file": (BPR, [None], ["a.yaml"]),
    "encoding": (BPR, ["latin-1"], [5]),
}  # fmt: skip
BESIDE = {"topk": {"valid_metric": "NDCG@10"}, "threshold": {"train_neg_sample_args": None}, "metrics": {"topk": [10]}}


def configuration(data_path, key, value):
    model = TRIALS[key][0]
    keys = {
        "use_gpu": False,
        "data_path": str(data_path),
        "metrics": ["NDCG"],
        "topk": [10],
        **BESIDE.get(key, {}),
        key: value,
    }
    return RunConfig(model, "tiny", (), keys)


def test_the_table_and_the_trials_have_every_documented_key():
    listed = {
        key
        for name in ("general", "training", "evaluation", "dataset")
        for key in getattr(argument_list, f"{name}_arguments")
    }
    assert {*DOCUMENTED, *listed} <= set(RECBOLE_KEYS)
    assert set(RECBOLE_KEYS) == set(TRIALS)
    assert {entry.use for entry in RECBOLE_KEYS.values()} == {HONOURED, REFUSED, WARNED}


def test_every_part_of_a_documented_dict_has_a_trial():
    for key, value in DOCUMENTED.items():
        if isinstance(value, dict):
            _, taken, refused = TRIALS[key]
            tried = {part for trial in [*taken, *refused] if isinstance(trial, dict) for part in trial}
            assert set(value) <= tried, key


@pytest.mark.parametrize("key", TRIALS)
def test_a_value_is_honoured_or_named_in_a_warning(key, data_path):
    use = RECBOLE_KEYS[key].use
    for value in TRIALS[key][1]:
        config = configuration(data_path, key, value)
        assert (key in config.ignored_keys) == (use == WARNED), (value, config.ignored_keys)


@pytest.mark.parametrize("key, value", [(key, value) for key, trial in TRIALS.items() for value in trial[2]])
def test_other_values_are_refused_in_a_line_that_names_the_key(key, value, data_path):
    with pytest.raises(InputError) as error:
        configuration(data_path, key, value)
    message = str(error.value)
    assert key in message and "\n" not in message and "\x1b" not in message


def test_the_document_is_made_from_the_table():
    text = (ROOT / "docs" / "recbole_keys.md").read_text(encoding="utf-8")
    assert keys_table() in text


def test_what_a_run_resolves_is_taken_again(data_path):
    for key, (_, taken, _) in TRIALS.items():
        for value in taken:
            config = configuration(data_path, key, value)
            path = data_path / "resolved.yaml"
            path.write_text(yaml.safe_dump(config.resolved))
            assert RunConfig(config["model"], "tiny", [str(path)], {}).resolved == config.resolved, (key, value)
