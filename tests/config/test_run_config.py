"""Precedence, YAML values, and keys that nothing reads."""

import pytest

from recbole_sda.config.dataset_files import supported_datasets
from recbole_sda.config.defaults import SECTIONS, own_keys
from recbole_sda.config.run_config import RunConfig
from recbole_sda.errors import InputError
from recbole_sda.io.text import read_lines
from recbole_sda.io.yaml import parse_value, properties_dir, read_yaml
from recbole_sda.model.model_table import MULTIMODAL
from recbole_sda.model.settings import FeatureSettings, SDASettings


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-3", 0.001), ("1E5", 100000.0), (".5", 0.5), ("5.", 5.0), ("-2e+1", -20.0), ("3", 3), ("True", True),
        ("false", False), ("None", None), ("~", None), ("[5, 10]", [5, 10]), ("{mode: uni100}", {"mode": "uni100"}),
        ("NDCG@10", "NDCG@10"), ("2024-01-01x", "2024-01-01x"), ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("e5", "e5"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_values_are_yaml_and_never_evaluated(text, value):
    parsed = parse_value("key", text)
    assert parsed == value and type(parsed) is type(value)


def test_broken_values():
    with pytest.raises(InputError, match=r"--topk=\[5: not a YAML value"):
        parse_value("topk", "[5")


def write(path, text):
    path.write_text(text)
    return str(path)


def test_precedence(build, tmp_path):
    """RecBole < run.yaml < sda.yaml < files < command line; tests/config/test_presets.py has the presets."""
    assert build.config("SASRec_SDA")["hidden_size"] == 64  # RecBole's SASRec.yaml
    assert build.config("SASRec_SDA")["valid_metric"] == "NDCG@10"  # run.yaml, not overall.yaml's MRR@10
    assert build.config("SASRec_SDA")["moda_rank"] == 8  # sda.yaml
    assert build.config("SASRec")["moda_rank"] is None
    files = [write(tmp_path / "a.yaml", "hidden_size: 32\nn_layers: 1\n"), write(tmp_path / "b.yaml", "n_layers: 3\n")]
    config = RunConfig("SASRec_SDA", "tiny", files, {"hidden_size": 16, "data_path": str(build.data_path)})
    assert (config["hidden_size"], config["n_layers"]) == (16, 3)


def test_eval_args_may_be_given_in_part(build, tmp_path):
    """RecBole would fill the rest with its own defaults, a random order among them."""
    path = write(tmp_path / "a.yaml", "eval_args: {split: {RS: [8, 1, 1]}}\n")
    config = RunConfig("BPR", "tiny", [path], {"data_path": str(build.data_path), "eval_args": {"mode": "uni10"}})
    expected = {"split": {"RS": [8, 1, 1]}, "group_by": "user", "order": "TO"}
    assert {k: v for k, v in config["eval_args"].items() if k != "mode"} == expected
    assert config["eval_args"]["mode"] == {"valid": "uni10", "test": "uni10"}


def test_preset_paper_restores_the_reference_and_yields_to_given_keys(build):
    settings = SDASettings.from_config(build.config("SASRec_SDA", preset="paper", alignment_temperature=4.0))
    assert settings.item_encoder == "linear" and settings.id_embedding == "none" and settings.encoder_hidden_size == 768
    assert (settings.moda_rank, settings.moda_alpha, settings.moda_dropout, settings.moda_experts) == (8, 32.0, 0.1, 4)
    assert settings.cmsa_temperature == 3.0 and settings.cmsa_learnable and settings.cmsa_teacher_scale is None
    assert not settings.cmsa_normalize and not settings.cmsa_detach_teacher
    assert settings.alignment_temperature == 4.0
    with pytest.raises(InputError, match="preset='papper': there is paper, .*Did you mean 'paper'"):
        build.config("SASRec_SDA", preset="papper")


def test_unknown_keys_are_errors_that_suggest(build, tmp_path):
    with pytest.raises(InputError, match="command line: 'cmsa_weigth' is not a key .* Did you mean 'cmsa_weight'"):
        build.config("SASRec_SDA", cmsa_weigth=1)
    with pytest.raises(InputError, match="'learning_rat' .* Did you mean 'learning_rate'"):
        build.config("SASRec", learning_rat=1)
    path = write(tmp_path / "c.yaml", "hiden_size: 3\n")
    with pytest.raises(InputError, match="c.yaml: 'hiden_size' is not a key .* Did you mean 'hidden_size'"):
        RunConfig("SASRec_SDA", "tiny", [path], {})


def test_keys_of_other_models(build, tmp_path):
    """On the command line an error; in a file, which several models may share, named and left out."""
    with pytest.raises(InputError, match="'ssl_tau' is a key of other models, not of SASRec_SDA"):
        build.config("SASRec_SDA", ssl_tau=1)
    path = write(tmp_path / "shared.yaml", "ssl_tau: 0.5\nmoda_rank: 4\n")
    config = RunConfig("SASRec", "tiny", [path], {"data_path": str(build.data_path)})
    assert set(config.ignored_keys) == {"ssl_tau", "moda_rank"}


@pytest.mark.parametrize(
    "content, message",
    [("a: [1", "is not YAML"), ("- 1\n", "expected lines of `key: value`, found list"), ("word", "found str")],
)
def test_broken_files(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_yaml(write(tmp_path / "x.yaml", content))
    with pytest.raises(InputError, match="configuration file .*none.yaml does not exist"):
        read_yaml(tmp_path / "none.yaml")


def test_files_that_are_not_utf8(tmp_path):
    (tmp_path / "x").write_bytes(b"a: \xff")
    for read, message in (
        (read_yaml, "x is not a text file in UTF-8: .*byte 0xff"),
        (read_lines, "x is not a text file in UTF-8: .*byte 0xff"),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path / "x")


def test_an_empty_file_has_no_keys(tmp_path):
    assert read_yaml(write(tmp_path / "x.yaml", "# nothing\n")) == {}


def test_wrong_values_of_recbole_keys_are_input_errors(build):
    with pytest.raises(InputError, match="eval_args=3: expected a dict"):
        build.config("SASRec", eval_args=3)
    with pytest.raises(InputError, match="there is no metric 'Hits'. Did you mean 'hit'"):
        build.config("SASRec", metrics=["Hits"], valid_metric="Hits@10")


def test_resolved_configuration_gives_the_same_configuration(build, tmp_path):
    import yaml

    config = build.config("BERT4Rec_SDA", cmsa_weight=0.3)
    path = write(tmp_path / "resolved.yaml", yaml.safe_dump(config.resolved))
    again = RunConfig("BERT4Rec_SDA", "tiny", [path], {})
    assert again.resolved == config.resolved and again["cmsa_weight"] == 0.3


def test_every_own_key_is_documented_with_a_type_and_read_by_the_settings():
    for file in ("run.yaml", "features.yaml", "sda.yaml", *(f"model/{name}.yaml" for name in MULTIMODAL)):
        for line in (properties_dir() / file).read_text().splitlines():
            if line and line[0] not in "# " and not line.startswith(tuple(f"{name}:" for name in SECTIONS)):
                assert "# (" in line, line
    fields = set(SDASettings.__dataclass_fields__)
    keys = {name: set(read_yaml(properties_dir() / name)) for name in ("features.yaml", "sda.yaml")}
    assert keys["features.yaml"] == set(FeatureSettings.__dataclass_fields__)
    assert keys["sda.yaml"] == fields - keys["features.yaml"]
    assert {"runs_path", "threads"} <= own_keys()


def test_each_supported_data_set_has_a_file():
    assert {"Amazon_Sports", "Amazon_Beauty", "Amazon_Toys", "Amazon_Baby", "Amazon_Clothing"} <= set(
        supported_datasets()
    )


def test_time_column_is_loaded_for_sequential_models(build):
    assert build.config("SASRec")["load_col"]["inter"] == ["user_id", "item_id", "timestamp"]


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"epochs": -1}, "epochs=-1: expected a whole number at least 1"),
        ({"epochs": 1.5}, "epochs=1.5: expected a whole number"),
        ({"epochs": float("inf")}, "epochs=inf: expected a whole number"),
        ({"train_batch_size": 0}, "train_batch_size=0"),
        ({"MAX_ITEM_LIST_LENGTH": 2.5}, "MAX_ITEM_LIST_LENGTH=2.5: expected a whole number at least 1"),
        ({"hidden_size": "abc"}, "hidden_size='abc': expected a number, as its default 64"),
        ({"n_layers": True}, "n_layers=True: expected a number"),
        ({"enable_amp": "maybe"}, "enable_amp='maybe': expected True or False"),
        ({"fast_sequences": 3}, "fast_sequences=3: expected True or False"),
        ({"learner": "adm"}, "learner=adm: allowed are adam, .*Did you mean 'adam'"),
        ({"learning_rate": "1e-3x"}, "learning_rate='1e-3x': expected a number above 0"),
        ({"learning_rate": -1}, "learning_rate=-1"),
        ({"learning_rate": None}, "learning_rate=None: expected a number, as its default 0.001"),
        ({"warmup_epochs": None}, "warmup_epochs=None: expected a number, as its default 1.0"),
        ({"warmup_epochs": float("inf")}, "warmup_epochs=inf: expected a finite number at least 0"),
        ({"tail_items": None}, "tail_items=None: expected a number"),
        ({"weight_decay": "abc"}, "weight_decay='abc'"),
        ({"seed": "abc"}, "seed='abc'"),
        ({"threads": 0}, "threads=0"),
        ({"metric_decimal_place": 0}, "metric_decimal_place=0"),
        ({"tail_items": -1}, "tail_items=-1"),
        ({"short_users": "abc"}, "short_users='abc'"),
        ({"loss_type": "XE"}, "loss_type='XE': allowed are CE, BPR"),
        ({"topk": [5]}, "valid_metric='NDCG@10' is not measured; metrics and topk give Hit@5, NDCG@5"),
        ({"topk": ["a"]}, "topk='a'"),
        ({"valid_metric": "NDCG"}, "valid_metric='NDCG' is not measured"),
        ({"valid_metric": "Recall@10"}, "valid_metric='Recall@10' is not measured"),
        ({"eval_args": {"splitt": {"RS": [8, 1, 1]}}}, "eval_args: unknown key 'splitt'.*Did you mean 'split'"),
        ({"eval_args": {"split": {"RS": [8, 1]}}}, "eval_args: split=.*three shares"),
        ({"eval_args": {"split": {"RS": [0, 0, 0]}}}, "eval_args: split=.*three shares that are not all 0"),
        ({"eval_args": {"split": {"LS": "both"}}}, "eval_args: split=.*valid_and_test, valid_only, test_only"),
        ({"eval_args": {"mode": "uni"}}, "eval_args: mode='uni': allowed are full"),
        ({"mask_validation": "no!"}, "mask_validation='no!': expected True or False"),
        (
            {"metrics": ["AUC", "GAUC"], "valid_metric": "AUC"},
            "metrics=.*: metrics of values .AUC. and of ranks cannot be in one run",
        ),
    ],
)
def test_values_that_recbole_would_stumble_over(build, keys, message):
    with pytest.raises(InputError, match=message):
        build.config("SASRec_SDA", **keys)


def test_modes_by_phase_and_metrics_without_cutoff(build):
    modes = {"valid": "uni5", "test": "full"}
    assert build.config("BPR", eval_args={"mode": modes})["eval_args"]["mode"] == modes
    assert build.config("BPR", metrics=["Hit"], topk=5, valid_metric="hit@5")["topk"] == [5]


@pytest.mark.parametrize(
    "model, keys, message",
    [
        ("SASRec", {"rare_item_decay": -1}, "rare_item_decay=-1: expected a number at least 0"),
        ("SASRec", {"rare_item_decay": None}, "rare_item_decay=None: expected a number, as its default 0.0"),
        ("SASRec", {"rare_item_decay": True}, "rare_item_decay=True: expected a number"),
        ("NeuMF", {"rare_item_decay": 1}, "rare_item_decay=1: NeuMF has no item id table that this package knows"),
        ("VBPR_SDA", {"rare_item_decay": 1}, "rare_item_decay=1: VBPR_SDA has no item id table"),
        ("SequenceKNN", {"rare_item_decay": 1}, "rare_item_decay=1: SequenceKNN has no item id table"),
        (
            "SASRec_SDA",
            {"rare_item_decay": 1, "id_embedding": "none"},
            "rare_item_decay=1: with id_embedding=none SASR",
        ),
        (
            "BPR",
            {"rare_item_decay": 6, "learning_rate": 0.25},
            "rare_item_decay=6: expected at most 1 / learning_rate, 4$",
        ),
    ],
)
def test_rare_item_decay_is_checked(build, model, keys, message):
    with pytest.raises(InputError, match=message):
        build.config(model, **keys)


def test_rare_item_decay_is_for_models_with_an_id_table(build):
    assert build.config("BPR", rare_item_decay=4, learning_rate=0.25)["rare_item_decay"] == 4
    identity = {"id_embedding": "none", "item_encoder": "identity"}
    assert build.config("BPR_SDA", rare_item_decay=4, **identity)["rare_item_decay"] == 4
    assert build.config("NeuMF")["rare_item_decay"] == 0
