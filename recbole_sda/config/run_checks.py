"""Values of every run that RecBole takes unchecked and stumbles over later: numbers, the evaluation, its metrics."""

import re
from typing import Any, Dict, Optional

from recbole.evaluator import metric_types
from recbole.utils import EvaluatorType, ModelType

from recbole_sda.config.key_forms import text
from recbole_sda.config.split_checks import check_split, is_divided
from recbole_sda.errors import InputError, nearest
from recbole_sda.metrics.list_quality import LIST_METRICS
from recbole_sda.model.model_table import SUFFIX, BaseModelSpec
from recbole_sda.model.softmax_settings import PROPOSALS
from recbole_sda.validation import AT_LEAST_ONE, POSITIVE, Range, check_choice

# Numbers of every run, beside the whole ones of number_ranges.py. An empty value leaves the choice to RecBole or torch.
_WEIGHT = Range(0, 1e6, closed_high=True)
NUMBERS = {
    "learning_rate": POSITIVE,
    "weight_decay": _WEIGHT,
    "warmup_epochs": _WEIGHT,
    "rare_item_decay": _WEIGHT,
    "tail_items": POSITIVE,
    "short_users": POSITIVE,
}
ACTIVATIONS = ("gelu", "relu", "swish", "tanh", "sigmoid")  # of RecBole's transformers
EVALUATION_KEYS = {"split", "group_by", "order", "mode"}
LOSSES = ("CE", "BPR")
OWN_LOSSES = {"SINE": ("NLL",)}  # cross entropy with SINE's regulariser of its concepts
LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")
WITHOUT_CUTOFF = {"auc", "gauc", "logloss", "mae", "rmse"}


def check_numbers(values: Dict[str, Any]) -> None:
    """Refuse a value of :data:`NUMBERS` that is out of its range."""
    for key, interval in NUMBERS.items():
        if values.get(key) is not None:
            interval.check(key, values[key])


def check_types(values: Dict[str, Any], defaults: Dict[str, Any]) -> None:
    """Refuse a value of another type than its default's, where that is a number or a truth value."""
    for key, default in defaults.items():
        value = values.get(key)
        if isinstance(default, bool):
            wrong, expected = not isinstance(value, bool), "True or False"
        elif isinstance(default, (int, float)):
            wrong, expected = isinstance(value, bool) or not isinstance(value, (int, float)), "a number"
        else:
            continue
        if wrong:
            raise InputError(f"{key}={value!r}: expected {expected}, as its default {default!r}")


def check_learner(values: Dict[str, Any]) -> None:
    """Refuse an optimiser that RecBole does not know; it would take Adam."""
    name = str(values["learner"])
    if name.lower() not in LEARNERS:
        raise InputError(f"learner={name}: allowed are {', '.join(LEARNERS)}.{nearest(name, LEARNERS)}")


def check_evaluation(evaluation: Dict[str, Any]) -> None:
    """Refuse eval_args that would not be read, or be read as something else."""
    for key in evaluation:
        if key not in EVALUATION_KEYS:
            known = ", ".join(sorted(EVALUATION_KEYS))
            raise InputError(f"eval_args: unknown key {key!r}; allowed are {known}.{nearest(key, EVALUATION_KEYS)}")
    evaluation["split"], mode = check_split(evaluation["split"]), evaluation["mode"]
    for key, allowed in (("order", ("RO", "TO")), ("group_by", ("user", "none"))):
        if str(evaluation[key] or "none") not in allowed:
            raise InputError(f"eval_args: {key}={evaluation[key]!r}: allowed are {', '.join(allowed)}")
    if isinstance(mode, dict) and not {"valid", "test"} >= set(mode):
        raise InputError(f"eval_args: mode={mode!r}: expected one mode, or {{valid: ..., test: ...}}")
    for one in mode.values() if isinstance(mode, dict) else [mode]:
        if not re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d*", str(one)):
            raise InputError(f"eval_args: mode={one!r}: allowed are full, labeled, uniN and popN, as uni100")


def check_order(model_type: ModelType, values: Dict[str, Any]) -> None:
    """Refuse an order in which RecBole cannot split sequences; it would say so after reading the data."""
    order = values["eval_args"]["order"]
    if (
        model_type == ModelType.SEQUENTIAL
        and order != "TO"
        and not values["benchmark_filename"]
        and not is_divided(values)
    ):
        raise InputError(f"eval_args: order={order!r}: sequential models need TO, the order in time")


def check_loss(base: str, model_type: ModelType, values: Dict[str, Any]) -> None:
    """Refuse a loss_type that RecBole's sequential models do not have; it would ask for other negatives first."""
    losses = (*LOSSES, *OWN_LOSSES.get(base, ()))
    if model_type == ModelType.SEQUENTIAL and values.get("loss_type") not in (None, *losses):
        raise InputError(f"loss_type={values['loss_type']!r}: allowed are {', '.join(losses)}")


def check_activation(values: Dict[str, Any]) -> None:
    """Refuse a ``hidden_act`` that RecBole does not have; it would be a KeyError."""
    if values.get("hidden_act") is not None:
        check_choice("hidden_act", values["hidden_act"], ACTIVATIONS)


def check_folders(values: Dict[str, Any]) -> None:
    """Refuse a folder of runs that is no text."""
    for key in ("run_dir", "runs_path"):
        if values[key] is not None:
            text(key, values[key])


def check_softmax(values: Dict[str, Any]) -> None:
    """Refuse wrong keys of the softmax loss, also where a model or another key leaves them unread."""
    check_choice("softmax_proposal", values["softmax_proposal"], PROPOSALS)
    if values["softmax_negatives"] is not None:
        AT_LEAST_ONE.check("softmax_negatives", values["softmax_negatives"], whole=True)
    if values["logit_temperature"] is not None:
        POSITIVE.check("logit_temperature", values["logit_temperature"])
    Range(0, 1, closed_high=True).check("popularity_adjustment", values["popularity_adjustment"])


def check_auto(key: str, values: Dict[str, Any]) -> None:
    """Refuse a value that is neither ``auto`` nor a bool."""
    if values[key] != "auto" and not isinstance(values[key], bool):
        raise InputError(f"{key}={values[key]!r}: expected auto, True or False")


def check_metrics(values: Dict[str, Any]) -> None:
    """Refuse cut-offs that are no numbers, and a valid_metric that is not measured: RecBole says so after an epoch."""
    metrics, topk = values["metrics"], values["topk"]
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    for metric in metrics:
        if metric.lower() not in metric_types:
            raise InputError(f"metrics={metrics}: there is no metric {metric!r}.{nearest(metric, metric_types)}")
    of_values = [metric for metric in metrics if metric_types[metric.lower()] == EvaluatorType.VALUE]
    if of_values and len(of_values) < len(metrics):
        raise InputError(
            f"metrics={metrics}: metrics of values ({', '.join(of_values)}) and of ranks cannot be in one run; leave out one kind"
        )
    topk = topk if isinstance(topk, list) else [topk]
    for k in topk:
        AT_LEAST_ONE.check("topk", k, whole=True)
    names = [f"{metric}@{k}" for metric in metrics if metric.lower() not in WITHOUT_CUTOFF for k in topk]
    names += [metric for metric in metrics if metric.lower() in WITHOUT_CUTOFF]
    if str(values["valid_metric"]).lower() not in [name.lower() for name in names]:
        raise InputError(
            f"valid_metric={values['valid_metric']!r} is not measured; metrics and topk give {', '.join(names)}"
        )


def check_list_metrics(values: Dict[str, Any]) -> None:
    """Refuse a list metric that does not exist, and calibration without a column of categories."""
    names = values["list_metrics"]
    names = [names] if isinstance(names, str) else [] if names is None else names
    if not isinstance(names, (list, tuple)):
        raise InputError(f"list_metrics={names!r}: expected a list of {', '.join(LIST_METRICS)}")
    names = values["list_metrics"] = list(names)
    for position, name in enumerate(names):
        check_choice("list_metrics", name, LIST_METRICS)
        if name in names[:position]:
            raise InputError(f"list_metrics={names}: {name!r} is given twice")
    for key in ("list_features", "list_categories"):
        if values[key] is not None and not isinstance(values[key], str):
            raise InputError(f"{key}={values[key]!r}: expected a name")
    if "calibration" in names and not values["list_categories"]:
        raise InputError(
            "list_metrics: calibration needs list_categories, the column of the data set's .item file with the categories"
        )


def check_energy(values: Dict[str, Any]) -> None:
    """Refuse a country that is no code of three letters."""
    country = values["energy_country"]
    if country is not None and not re.fullmatch(r"[A-Z]{3}", str(country)):
        raise InputError(
            f"energy_country={country!r}: expected a code of three capital letters (ISO 3166-1), as KOR or DEU"
        )


def check_train_mask(model_type: ModelType, spec: Optional[BaseModelSpec], values: Dict[str, Any]) -> None:
    """Refuse ``train_mask_history`` for a sequential model whose softmax over all items is its own."""
    if not values["train_mask_history"] or model_type != ModelType.SEQUENTIAL or values["train_neg_sample_args"]:
        return
    if spec is None or spec.loss == "own":
        raise InputError(
            "train_mask_history=True: this model computes its own softmax, from which nothing can be left out"
        )


def check_rare_item_decay(model: str, spec: Optional[BaseModelSpec], values: Dict[str, Any]) -> None:
    """Refuse ``rare_item_decay`` for a model without an item id table, and so strong that it turns the sign of a row."""
    decay, rate = values["rare_item_decay"], values["learning_rate"]
    if decay == 0:
        return
    if spec is None:
        raise InputError(f"rare_item_decay={decay}: {model} has no item id table that this package knows")
    if model.endswith(SUFFIX) and values["id_embedding"] == "none" and values["item_encoder"] != "identity":
        raise InputError(f"rare_item_decay={decay}: with id_embedding=none {model} has no item id table")
    if decay * rate > 1:
        raise InputError(f"rare_item_decay={decay}: expected at most 1 / learning_rate, {1 / rate:g}")
