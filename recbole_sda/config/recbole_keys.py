"""RecBole's documented keys: the form of each value, and what a run does with it.

A key is honoured, or refused with the reason, or named in a warning where nothing reads it
(:mod:`recbole_sda.config.unread_keys`). ``docs/recbole_keys.md`` is made from this table.
"""

from dataclasses import dataclass
from typing import Any, Dict

from recbole_sda.config.key_forms import (
    Form,
    all_or_words,
    anything,
    flag,
    intervals,
    intervals_or_words,
    mapping,
    number,
    one_of,
    record,
    refused,
    text,
    three_parts,
    whole,
    words,
)
from recbole_sda.errors import InputError
from recbole_sda.validation import ANY, AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE

HONOURED, REFUSED, WARNED = "honoured", "refused", "warned"
NOT_STORED = "data are read anew for each run, in seconds, and not stored"
KNOWLEDGE = "warning for models that read no knowledge graph"
SEQUENTIAL = "warning for models that are not sequential"
UNTRAINED = "warning for models that are not trained"
NOT_IN_PARTS = "refused with benchmark_filename: given parts are not filtered"


@dataclass(frozen=True)
class RecBoleKey:
    """What a run does with one of RecBole's keys.

    Attributes:
        form: form of its values; an empty value is always allowed where RecBole's default is empty.
        use: ``honoured``, ``refused`` or ``warned``: what happens to a value that is not the default.
        note: for which values or models it is another of the three, or why.
    """

    form: Form
    use: str = HONOURED
    note: str = ""


NEGATIVES = record(
    {
        "distribution": anything,  # checked below: an empty value has a meaning
        "sample_num": whole(AT_LEAST_ONE),
        "alpha": number(NOT_NEGATIVE),
        "dynamic": flag,
        "candidate_num": whole(NOT_NEGATIVE),
    },
    needed="distribution",
)
CLIPPING = record(
    {"max_norm": number(POSITIVE), "norm_type": number(POSITIVE), "error_if_nonfinite": flag, "foreach": flag},
    needed="max_norm",
)
BUCKETS = record({"method": one_of("ED", "LD"), "bucket": whole(AT_LEAST_ONE)}, needed="method")
TRANSFORMS = ("mask_itemseq", "inverse_itemseq", "crop_itemseq", "reorder_itemseq")
LEVELS = ("debug", "info", "warning", "error", "critical")


def _state(key: str, value: Any) -> str:
    one_of(*LEVELS)(key, str(value).lower())
    return str(value)


def _encoding(key: str, value: Any) -> str:
    try:
        "".encode(text(key, value))
    except LookupError:  # also for codecs that are none of texts, such as rot13
        raise InputError(
            f"{key}={value!r}: expected the name of an encoding of texts, as utf-8-sig or latin-1"
        ) from None
    return str(value)


def _negatives(key: str, value: Any) -> Dict[str, Any]:
    """Return train_neg_sample_args; RecBole takes its defaults for each part that is missing or mistyped."""
    given: Dict[str, Any] = NEGATIVES(key, value)
    distribution = one_of("uniform", "popularity", "none", "None")(f"{key}: distribution", given["distribution"])
    if distribution.lower() == "none":
        return {**given, "distribution": "None"}
    if distribution != "popularity" and given.get("alpha", 1.0) != 1.0:
        raise InputError(f"{key}: alpha={given['alpha']} is read with distribution: popularity only")
    if bool(given.get("dynamic")) != bool(given.get("candidate_num")):
        raise InputError(f"{key}: dynamic: True and candidate_num, at least 1, need each other")
    return given


RECBOLE_KEYS: Dict[str, RecBoleKey] = {
    # environment
    "gpu_id": RecBoleKey(anything),
    "worker": RecBoleKey(whole(NOT_NEGATIVE), note="warning with packed and trimmed sequences, which need none"),
    "use_gpu": RecBoleKey(flag),
    "seed": RecBoleKey(whole(NOT_NEGATIVE)),
    "state": RecBoleKey(_state),
    "reproducibility": RecBoleKey(flag),
    "data_path": RecBoleKey(text),
    "checkpoint_dir": RecBoleKey(text, WARNED, "checkpoints are in the run folder: run_dir, runs_path"),
    "config_file": RecBoleKey(refused("configuration files are given by --config_files"), REFUSED),
    "show_progress": RecBoleKey(flag),
    "save_dataset": RecBoleKey(refused(NOT_STORED), REFUSED, NOT_STORED),
    "dataset_save_path": RecBoleKey(refused(NOT_STORED), REFUSED, NOT_STORED),
    "save_dataloaders": RecBoleKey(refused(NOT_STORED), REFUSED, NOT_STORED),
    "dataloaders_save_path": RecBoleKey(refused(NOT_STORED), REFUSED, NOT_STORED),
    "log_wandb": RecBoleKey(flag, note="becomes track: [wandb]; refused where the package wandb is not installed"),
    "wandb_project": RecBoleKey(text, note="read with log_wandb; track_options has the name of the project for track"),
    "shuffle": RecBoleKey(flag),
    "encoding": RecBoleKey(_encoding),
    # training
    "epochs": RecBoleKey(whole(AT_LEAST_ONE)),
    "train_batch_size": RecBoleKey(whole(AT_LEAST_ONE)),
    "learner": RecBoleKey(anything, note=UNTRAINED),
    "learning_rate": RecBoleKey(anything, note=UNTRAINED),
    "train_neg_sample_args": RecBoleKey(
        _negatives, note="an empty value is refused for models that learn from negatives"
    ),
    "eval_step": RecBoleKey(whole(NOT_NEGATIVE)),
    "stopping_step": RecBoleKey(whole(NOT_NEGATIVE), note="warning with eval_step=0"),
    "clip_grad_norm": RecBoleKey(CLIPPING, note=UNTRAINED),
    "weight_decay": RecBoleKey(number(NOT_NEGATIVE), note=UNTRAINED),
    "loss_decimal_place": RecBoleKey(whole(AT_LEAST_ONE), WARNED, "losses are logged with four decimals"),
    "require_pow": RecBoleKey(flag),
    "enable_amp": RecBoleKey(flag),
    "enable_scaler": RecBoleKey(flag),
    "transform": RecBoleKey(
        one_of(*TRANSFORMS), note="refused for models that do not read what it makes, and user_defined"
    ),
    # evaluation
    "eval_args": RecBoleKey(anything, note="warning for split, order and group_by where the split does not read them"),
    "repeatable": RecBoleKey(flag),
    "metrics": RecBoleKey(words),
    "topk": RecBoleKey(anything, note="warning with metrics of values alone"),
    "valid_metric": RecBoleKey(text),
    "valid_metric_bigger": RecBoleKey(
        flag, note="refused where it contradicts valid_metric; RecBole sets it by the metric"
    ),
    "eval_batch_size": RecBoleKey(whole(AT_LEAST_ONE)),
    "metric_decimal_place": RecBoleKey(whole(AT_LEAST_ONE)),
    # names
    "field_separator": RecBoleKey(text),
    "seq_separator": RecBoleKey(text),
    "USER_ID_FIELD": RecBoleKey(text),
    "ITEM_ID_FIELD": RecBoleKey(text),
    "RATING_FIELD": RecBoleKey(text, note="warning for models that read no ratings"),
    "TIME_FIELD": RecBoleKey(text),
    "LABEL_FIELD": RecBoleKey(text),
    "NEG_PREFIX": RecBoleKey(text),
    "ITEM_LIST_LENGTH_FIELD": RecBoleKey(text, note=SEQUENTIAL),
    "LIST_SUFFIX": RecBoleKey(text, note=SEQUENTIAL),
    "MAX_ITEM_LIST_LENGTH": RecBoleKey(whole(AT_LEAST_ONE), note=SEQUENTIAL),
    "POSITION_FIELD": RecBoleKey(text, WARNED, "nothing in RecBole 1.2 reads it"),
    "HEAD_ENTITY_ID_FIELD": RecBoleKey(text, note=KNOWLEDGE),
    "TAIL_ENTITY_ID_FIELD": RecBoleKey(text, note=KNOWLEDGE),
    "RELATION_ID_FIELD": RecBoleKey(text, note=KNOWLEDGE),
    "ENTITY_ID_FIELD": RecBoleKey(text, note=KNOWLEDGE),
    # columns
    "load_col": RecBoleKey(
        mapping(all_or_words, "{inter: [user_id, item_id]}"), note="a column that is not there is refused"
    ),
    "unload_col": RecBoleKey(mapping(words, "{inter: [rating]}"), note="all other columns are loaded"),
    "unused_col": RecBoleKey(mapping(words, "{inter: [rating]}")),
    "additional_feat_suffix": RecBoleKey(words),
    "seq_len": RecBoleKey(
        mapping(whole(AT_LEAST_ONE), "{title: 20}"), note="refused for histories, of which it keeps the first"
    ),
    "threshold": RecBoleKey(
        mapping(number(ANY), "{rating: 3}", single=True),
        note="refused where neither training nor evaluation reads labels",
    ),
    "numerical_features": RecBoleKey(words, note="warning for models that embed no columns"),
    "alias_of_user_id": RecBoleKey(words),
    "alias_of_item_id": RecBoleKey(words, note="the column of histories in given parts always is one"),
    "alias_of_entity_id": RecBoleKey(words, note=KNOWLEDGE),
    "alias_of_relation_id": RecBoleKey(words, note=KNOWLEDGE),
    "preload_weight": RecBoleKey(mapping(text, "{ent_id: ent_emb}"), note="warning for models that read none"),
    "normalize_field": RecBoleKey(words),
    "normalize_all": RecBoleKey(flag),
    "discretization": RecBoleKey(
        mapping(BUCKETS, "{price: {method: ED, bucket: 5}}"), note="warning for models that embed no columns"
    ),
    # filters
    "rm_dup_inter": RecBoleKey(one_of("first", "last"), note=NOT_IN_PARTS),
    "val_interval": RecBoleKey(mapping(intervals_or_words, "{rating: '[3,inf)'}"), note=NOT_IN_PARTS),
    "filter_inter_by_user_or_item": RecBoleKey(flag, note=NOT_IN_PARTS),
    "user_inter_num_interval": RecBoleKey(intervals, note=NOT_IN_PARTS),
    "item_inter_num_interval": RecBoleKey(intervals, note=NOT_IN_PARTS),
    "kg_reverse_r": RecBoleKey(flag, note=KNOWLEDGE),
    "entity_kg_num_interval": RecBoleKey(intervals, note=KNOWLEDGE),
    "relation_kg_num_interval": RecBoleKey(intervals, note=KNOWLEDGE),
    "benchmark_filename": RecBoleKey(three_parts),
}


def check_recbole_keys(values: Dict[str, Any]) -> None:
    """Check the values of :data:`RECBOLE_KEYS` in place, and bring them into the form that RecBole reads.

    Raises:
        InputError: a value, or a part of one, is none that the key takes.
    """
    for key, entry in RECBOLE_KEYS.items():
        if values.get(key) is not None and values[key] != []:
            values[key] = entry.form(key, values[key])
        elif key in values and (entry.form in (text, _encoding) or key in ("metrics", "topk")):
            raise InputError(f"{key} is empty: a value is needed")


def keys_table() -> str:
    """Return the table of ``docs/recbole_keys.md``."""
    rows = [f"| `{key}` | {entry.use} | {entry.note} |" for key, entry in RECBOLE_KEYS.items()]
    return "\n".join(["| Key | A value other than the default is | Note |", "| --- | --- | --- |", *rows, ""])
