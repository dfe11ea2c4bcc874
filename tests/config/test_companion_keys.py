"""Keys without their main key: each pair is named in a warning, and no other."""

import re

import pytest
import yaml

from recbole_sda.config.companion_keys import COMPANIONS, companions_table, without_main_key
from recbole_sda.config.defaults import own_keys
from recbole_sda.config.recbole_keys import RECBOLE_KEYS
from recbole_sda.config.run_config import RunConfig
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.model.model_table import BASE_MODELS

# Main key -> (model, keys beside it with which it is off, keys with which it is on, value of each companion).
SEQUENTIAL, GENERAL = "SASRec_SDA", "BPR_SDA"
IDENTITY = {"item_encoder": "identity", "cmsa_weight": 0.0}
WITHOUT_IDS = {"id_embedding": "none"}
NO_CONTENT = {"id_start": "random", "id_smoothing": 0.0, "soft_targets": 0.0}
SMOOTHED = {"id_smoothing": 1.0}
CMSA = {"cmsa_weight": 0.2}
MEMBERS = ["runs/a", "runs/b"]
SAMPLED = {"eval_args": {"mode": "uni5"}}
OF_VALUES = {**SAMPLED, "metrics": ["AUC"], "valid_metric": "AUC"}
KNN = {"members": ["runs/a", "knn:cooccurrence"]}
TRIALS = [
    (SEQUENTIAL, "feature_dropout", 0.2, IDENTITY, {"item_encoder": "linear"}),
    (SEQUENTIAL, "modality_dropout", 0.2, IDENTITY, {}),
    (SEQUENTIAL, "encoder_scale", 2.0, IDENTITY, {}),
    (SEQUENTIAL, "encoder_lr_factor", 0.5, IDENTITY, {}),
    (SEQUENTIAL, "encoder_gradient", "targets", IDENTITY, {}),
    ("VBPR_SDA", "adapted_size", 32, IDENTITY, {}),
    (SEQUENTIAL, "id_dropout", 0.2, IDENTITY, {}),
    (SEQUENTIAL, "id_dropout", 0.2, WITHOUT_IDS, {}),
    (SEQUENTIAL, "id_shrinkage", 2.0, WITHOUT_IDS, {}),
    *((SEQUENTIAL, key, value, {"item_encoder": "linear"}, {}) for key, value in (
        ("fusion", "gated"), ("moda_rank", 4), ("moda_experts", 2), ("moda_alpha", 8.0), ("moda_dropout", 0.1))),
    *((SEQUENTIAL, key, value, {"moda_rank": 0}, {}) for key, value in (
        ("moda_experts", 2), ("moda_alpha", 8.0), ("moda_dropout", 0.1))),
    (SEQUENTIAL, "encoder_hidden_size", 8, {}, {"item_encoder": "linear"}),
    *((SEQUENTIAL, key, value, {**IDENTITY, **NO_CONTENT}, IDENTITY) for key, value in (
        ("features", "random"), ("modalities", ["image"]), ("feature_views", []), ("shuffle_features", True),
        ("cold_item_scale", 2.0))),
    (SEQUENTIAL, "id_start_scale", 2.0, {"id_start": "random"}, {}),
    (SEQUENTIAL, "id_bound_full", 9.0, {}, {"id_bound": 1.0}),
    *((SEQUENTIAL, key, value, {"id_smoothing": 0.0}, SMOOTHED) for key, value in (
        ("id_smoothing_kappa", 3.0), ("id_graph", "both"), ("id_neighbours", 5))),
    *((model, "neighbour_search", "faiss", {"id_smoothing": 0.0, "soft_targets": 0.0}, SMOOTHED)
      for model in (SEQUENTIAL, "VBPR_SDA", "BM3_SDA", "SLMRec_SDA", "LGMRec_SDA", "MMGCN_SDA")),
    *((model, "neighbour_search", "faiss", {"id_graph": "cooccurrence", "id_smoothing": 1.0, "soft_targets": 0.0}, SMOOTHED)
      for model in (SEQUENTIAL, "VBPR_SDA")),
    *((GENERAL, key, value, {}, {"soft_targets": 0.1}) for key, value in (
        ("soft_targets_neighbours", 5), ("soft_targets_scale", 5.0), ("soft_targets_kappa", 5.0), ("soft_targets_epochs", 5.0))),
    *((SEQUENTIAL, key, value, {"cmsa_weight": 0.0}, CMSA) for key, value in (
        ("cmsa_temperature", 0.5), ("cmsa_learnable", False), ("cmsa_teacher", "embeddings"), ("cmsa_teacher_scale", 5.0),
        ("cmsa_normalize", False), ("cmsa_max_items", 32))),
    (SEQUENTIAL, "cmsa_teacher_scale", 5.0, {"cmsa_teacher": "identity"}, {"cmsa_teacher": "embeddings"}),
    (SEQUENTIAL, "cmsa_detach_teacher", False, {"cmsa_teacher": "features"}, {"cmsa_teacher": "embeddings"}),
    (SEQUENTIAL, "cmsa_detach_teacher", False, CMSA, {"cmsa_teacher_scale": None}),
    (SEQUENTIAL, "cmsa_detach_teacher", False, {"cmsa_teacher": "identity"}, {"cmsa_teacher": "embeddings"}),
    *((SEQUENTIAL, key, value, {}, {"alignment_weight": 0.1, "alignment_run": "runs/b"}) for key, value in (
        ("alignment_run", "runs/a"), ("alignment_temperature", 3.0), ("alignment_normalize", True), ("alignment_max_items", 9))),
    ("BPR", "cold_items_seed", 3, {}, {"cold_items": 0.2}),
    ("BPR", "cold_items_seed", 3, {"cold_items": "2014-01-01"}, {"cold_items": 0.2}),
    ("BPR", "eval_negatives_seed", 3, {}, {"eval_args": {"mode": {"valid": "full", "test": "pop10"}}}),
    *(("BPR", key, value, OF_VALUES, SAMPLED)
      for key, value in (("eval_negatives_seed", 3), ("topk", [7, 10]), ("tail_items", 2), ("short_users", 2))),
    ("BPR", "mask_validation", False, {"mask_history": False}, {"mask_history": True}),
    ("SASRec", "packed_stride", 3, {"fast_sequences": False}, {}),
    *(("SASRec", key, value, {}, {"softmax_negatives": 8}) for key, value in (
        ("softmax_proposal", "popularity"), ("sparse_updates", True))),
    ("BPR", "stopping_step", 3, {"eval_step": 0}, {}),
    (SEQUENTIAL, "base_fallback", True, {"eval_step": 0}, {}),
    (SEQUENTIAL, "base_fallback", True, {**IDENTITY, **NO_CONTENT}, IDENTITY),
    ("BPR", "wandb_project", "mine", {}, None),  # the package wandb is not installed here
    ("BPR", "list_features", "random", {}, {"list_metrics": ["diversity"]}),
    ("BPR", "list_categories", "categories", {"list_metrics": ["diversity"]}, {"list_metrics": ["calibration"]}),
    ("BPR", "track_options", {"project": "mine"}, {}, None),  # the trackers' packages may be missing
    ("BPR", "energy_country", "KOR", {}, None),
    ("MGCN", "temperature", 0.5, {"cl_weight": 0.0}, {}),
    ("SMORE", "temperature", 0.5, {"cl_weight": 0.0}, {}),
    ("SLMRec", "ssl_temperature", 0.9, {"ssl_weight": 0.0}, {}),
    ("MGCN", "knn_k", 5, {"n_layers": 0}, {}),
    ("FREEDOM", "knn_k", 5, {"n_mm_layers": 0}, {}),
    ("FREEDOM", "modality_weights", {"image": 1, "text": 1}, {"n_mm_layers": 0}, {}),
    ("FREEDOM", "dropout", 0.1, {"n_ui_layers": 0}, {}),
    *(("LGMRec", key, value, {"alpha": 0.0, "cl_weight": 0.0}, {"alpha": 0.0}) for key, value in (
        ("n_hyper_layers", 2), ("n_hyperedges", 8), ("dropout", 0.1))),
    *(("GeneralEnsemble", key, value, {"members": MEMBERS, "ensemble_weights": [1, 1]}, {"members": MEMBERS}) for key, value in (
        ("ensemble_depth", 9), ("ensemble_groups", "tail"))),
    *(("Ensemble", key, value, {"members": MEMBERS}, KNN) for key, value in (
        ("knn_neighbours", 9), ("knn_shrinkage", 1.0), ("knn_decay", 0.5))),
]  # fmt: skip


def named(data_path, model, keys):
    """Return the keys that a run names as not read."""
    config = RunConfig(model, "tiny", (), {"use_gpu": False, "data_path": str(data_path), **keys})
    return [name for name in config.ignored_keys if not name.startswith("MAX_ITEM")]


@pytest.mark.parametrize("model, key, value, off, on", TRIALS)
def test_a_key_without_its_main_key_is_named_and_with_it_is_not(data_path, model, key, value, off, on):
    (found,) = [name for name in named(data_path, model, {**off, key: value}) if name.startswith(key)]
    assert re.fullmatch(rf"{key} \(with \w+=.+\)", found)
    assert named(data_path, model, off) == []
    if on is not None:
        assert named(data_path, model, {**on, key: value}) == []


def test_every_pair_has_a_trial():
    pairs = {
        (key, base) for row in COMPANIONS for key in row.keys for base in row.bases if row.bases != tuple(BASE_MODELS)
    }
    pairs |= {(key, "") for row in COMPANIONS for key in row.keys if not row.bases or row.bases == tuple(BASE_MODELS)}
    tried = {(key, base) for model, key, *_ in TRIALS for base in (model.removesuffix("_SDA"), "")}
    missing = {(key, base) for key, base in pairs - tried if base not in ("SMORE", "Ensemble", "GeneralEnsemble")}
    assert not missing


def test_every_pair_is_of_known_keys():
    known = own_keys() | {*RECBOLE_KEYS, "mode"}
    for row in COMPANIONS:
        of_models = {key for base in row.bases for name in (base.removeprefix("General"),) if base not in BASE_MODELS
                     for key in read_yaml(properties_dir() / f"model/{name}.yaml")}  # fmt: skip
        assert {*row.keys, *row.when} <= known | of_models, row
    assert without_main_key("BPR", {}) == {}


def test_what_a_run_resolves_names_no_more_than_the_run(data_path, tmp_path):
    """All keys of a run are in its file; those with their defaults are not the user's."""
    for model, key, value, off, _ in TRIALS[::7]:
        config = RunConfig(model, "tiny", (), {"use_gpu": False, "data_path": str(data_path), **off, key: value})
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config.resolved))
        assert sorted(RunConfig(model, "tiny", [str(path)], {}).ignored_keys) == sorted(config.ignored_keys)


@pytest.mark.parametrize(
    "model, keys, expected",
    [
        ("BPR", {"fast_sequences": False, "packed_stride": 2, "train_mask_history": True},
         ["fast_sequences", "packed_stride", "train_mask_history"]),
        ("NARM", {"packed_stride": 2}, ["packed_stride"]),
        ("SASRec", {"packed_stride": 2, "loss_type": "BPR"}, ["packed_stride"]),
        ("Caser", {"fast_sequences": False}, ["fast_sequences"]),
        ("NARM", {"fast_sequences": False}, []),
        ("SASRec_SDA", {"adapted_size": 9}, ["adapted_size"]),
        ("ItemKNN", {"learning_rate": 0.5, "weight_decay": 0.1}, ["learning_rate", "weight_decay"]),
        ("SequenceKNN", {"warmup_epochs": 0}, ["warmup_epochs"]),
        ("BPR", {"eval_args": {"split": {"global_time": [8, 1, 1]}, "group_by": "none", "order": "RO"}},
         ["eval_args: order", "eval_args: group_by"]),
        ("BPR", {"eval_args": {"split": {"RS": [8, 1, 1]}, "group_by": "none", "order": "RO"}}, []),
        ("BPR", {"eval_args": {"group_by": "none"}}, ["eval_args: group_by"]),
        ("BPR", {"benchmark_filename": ["a", "b", "c"], "eval_args": {"order": "RO", "split": {"RS": [8, 1, 1]}}},
         ["eval_args: split", "eval_args: order"]),
    ],
)  # fmt: skip
def test_keys_that_the_model_or_the_split_does_not_read(data_path, model, keys, expected):
    assert named(data_path, model, keys) == expected


def test_the_document_holds_the_table():
    text = (properties_dir().parent / "docs" / "recbole_keys.md").read_text(encoding="utf-8")
    assert companions_table() in text
