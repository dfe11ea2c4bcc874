"""The members of an ensemble, from run folders and from the data, and the choice of their weights."""

import copy
import logging
import os
from pathlib import Path
from typing import Any, Dict, List

from recbole_sda.config.run_config import MACHINE_KEYS
from recbole_sda.data.datasets import Data
from recbole_sda.engine.run_folder import METRICS
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.checkpoint import data_identity
from recbole_sda.io.hashes import sha256_of
from recbole_sda.model.ensemble.member import Member
from recbole_sda.model.ensemble.model import Ensemble
from recbole_sda.model.ensemble.weights import collect_pool, metric_of_ranks, search_weights
from recbole_sda.model.model_table import ENSEMBLE, GENERAL_ENSEMBLE
from recbole_sda.model.registry import base_spec, is_sequential, model_class, plain_model
from recbole_sda.validation import AT_LEAST_ONE

from recbole.utils import EvaluatorType, ModelType  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

logger = logging.getLogger(__name__)

NEIGHBOURHOODS = {"knn:cooccurrence": "SequenceKNN", "knn:features": "ContentKNN"}
ONE_MODALITY = "knn:features:"  # followed by its name


def build_ensemble(config: Any, data: Data) -> Ensemble:
    """Return the ensemble of a configuration with all its members.

    Raises:
        InputError: a member is given twice, is no finished run, was trained on other data or another split, takes longer histories,
            or is a sequential model in an ensemble of general models.
    """
    names = config["members"]
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"members={names!r}: expected a list of run folders and of {', '.join(NEIGHBOURHOODS)}")
    places = [name if name.startswith("knn:") else os.path.realpath(name) for name in names]
    for place, name in zip(places, names):
        if places.count(place) > 1:
            raise InputError(f"members: {name} is given twice; give each member once, ensemble_weights has its weight")
    members = [
        _neighbourhood(name, config, data) if name.startswith("knn:") else _run(name, config, data) for name in names
    ]
    ensemble: Ensemble = model_class(config["model"])(config, data.train._dataset, members)
    return ensemble


def _neighbourhood(name: str, config: Any, data: Data) -> Member:
    modality = name.removeprefix(ONE_MODALITY) if name.startswith(ONE_MODALITY) else None
    kind = name if modality is None else "knn:features"
    if kind not in NEIGHBOURHOODS:
        raise InputError(
            f"members: unknown neighbourhood {name!r}; allowed are {', '.join(NEIGHBOURHOODS)} and "
            f"{ONE_MODALITY}MODALITY.{nearest(name, NEIGHBOURHOODS)}"
        )
    own = copy.copy(config)
    if modality is not None:
        own.final_config_dict = {**config.final_config_dict, "modalities": [modality]}
    model = plain_model(NEIGHBOURHOODS[kind])(own, data.train._dataset).to(config["device"]).eval()
    return Member(name, model, int(config["MAX_ITEM_LIST_LENGTH"]), {"name": name}, trimmed=True)


def _run(name: str, config: Any, data: Data) -> Member:
    from recbole_sda.engine.run import load  # which builds ensembles

    path = Path(name)
    if not (path / METRICS).is_file():
        raise InputError(f"members: {name} is not the folder of a finished run: {METRICS} is missing")
    kept: Dict[str, Any] = {key: config[key] for key in MACHINE_KEYS if key != "state"}
    run = load(path, {**kept, "data_path": config.resolved["data_path"]})
    _check_data(name, run.data, config, data)
    longest, spec = 0, base_spec(run.config["model"])
    if run.config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        if not is_sequential(config["model"]):
            raise InputError(
                f"members: {name} is a run of {run.config['model']}, which is sequential; {GENERAL_ENSEMBLE} takes general models, "
                f"{ENSEMBLE} takes both"
            )
        longest = int(run.config["MAX_ITEM_LIST_LENGTH"])
        if longest > config["MAX_ITEM_LIST_LENGTH"]:
            raise InputError(
                f"members: {name} takes histories of {longest} items; give MAX_ITEM_LIST_LENGTH={longest} or more, which is "
                f"{config['MAX_ITEM_LIST_LENGTH']}"
            )
    record = {"name": name, "model": run.config["model"], "metrics_sha256": sha256_of(path / METRICS)}
    return Member(name, run.model, longest, record, trimmed=spec is not None and spec.sequences != "padded")


def _check_data(name: str, theirs: Data, config: Any, ours: Data) -> None:
    """Refuse a member with other users or items, or another training part."""
    ids, other_ids = (data_identity(data.train._dataset) for data in (ours, theirs))
    for what in ("users", "items"):
        if ids[what] != other_ids[what]:
            raise InputError(
                f"members: {name} was trained on other {what} than {config['dataset']} has with these settings"
            )
    same = all((mine == other).all() for mine, other in zip(ours.counts, theirs.counts))
    if not same or ours.inputs.get("interactions") != theirs.inputs.get("interactions"):
        raise InputError(
            f"members: {name} was trained on another part of {config['dataset']}; all members need the same interactions and "
            "the same split, and general and sequential models have one in common under leave-one-out alone"
        )


def choose_weights(model: Ensemble, config: Any, loader: Any) -> None:
    """Set the weights of an ensemble to those that are best on its validation data, unless ``ensemble_weights`` gives them.

    Args:
        model: the ensemble.
        config: configuration of the run.
        loader: the validation data; None without.

    Raises:
        InputError: there are no validation data, or their metric does not rank.
    """
    if model.given is not None:
        return
    if loader is None:
        raise InputError("Ensemble: weights are chosen on validation data, and there are none; give ensemble_weights")
    if config["eval_type"] == EvaluatorType.VALUE:
        raise InputError(
            f"Ensemble: weights are chosen by ranks, not by {config['valid_metric']}; give ensemble_weights, or a ranking metric"
        )
    metric_name, k, metric = metric_of_ranks(config["valid_metric"])
    depth = AT_LEAST_ONE.check("ensemble_depth", config["ensemble_depth"], whole=True)
    pool = collect_pool(model, loader, max(depth, k), config["device"])
    weights, best, alone = search_weights(pool, metric, len(model.weights))
    model.weights.copy_(weights)
    for member, value, column in zip(model.members, alone, weights.T):
        written = _written(column.tolist())
        logger.info("weight %s | alone, validation %s %.4f | %s", written, metric_name, value, member.name)
    logger.info("together, validation %s %.4f on %d cases", metric_name, best, len(pool.target))


def _written(weights: List[float]) -> str:
    return " / ".join(f"{weight:.3g}" for weight in weights)
