"""Keys that are read only where another key has some value: a value that has no effect is named in a warning.

The second table of ``docs/recbole_keys.md`` is made from :data:`COMPANIONS`.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Tuple

from recbole_sda.config.split_checks import is_share
from recbole_sda.model.model_table import BASE_MODELS, ENSEMBLE, GENERAL_ENSEMBLE

VALUE_METRICS = {"auc", "logloss", "mae", "rmse"}
BOTH_ENSEMBLES = (ENSEMBLE, GENERAL_ENSEMBLE)
FEATURE_KEYS = ("features", "modalities", "feature_views", "shuffle_features", "cold_item_scale")
CMSA_KEYS = (
    "cmsa_temperature", "cmsa_learnable", "cmsa_teacher", "cmsa_teacher_scale", "cmsa_normalize", "cmsa_detach_teacher",
    "cmsa_max_items",
)  # fmt: skip


@dataclass(frozen=True)
class Off:
    """Values of a key with which others have no effect.

    Attributes:
        text: which values, for people.
        test: whether a value is one of them.
    """

    text: str
    test: Callable[[Any], bool]


def equal(*values: Any) -> Off:
    """Return the condition that a key has one of some values; None is an empty one."""
    return Off(" or ".join("empty" if value is None else str(value) for value in values), lambda found: found in values)


def _modes(found: Any) -> Any:
    return set(found.values()) if isinstance(found, dict) else {found}


EMPTY, ZERO = equal(None), equal(0)
NO_CONTENT = {
    "item_encoder": equal("identity"), "id_start": equal("random"), "id_smoothing": ZERO, "id_codes": EMPTY, "id_shrinkage": ZERO,
    "soft_targets": ZERO,
}  # fmt: skip
NO_NEIGHBOURS = {"id_smoothing": ZERO, "soft_targets": ZERO, "min_content_lift": ZERO}
NO_CONTENT_GRAPH = {"id_graph": equal("cooccurrence"), "soft_targets": ZERO, "min_content_lift": ZERO}
WITHOUT_ITEM_GRAPH = ("VBPR", "BM3", "SLMRec", "LGMRec", "MMGCN")
NONE = Off("empty", lambda found: not found)
FIXED = Off("given", lambda found: found is not None)
NOT_DRAWN = Off("full or labeled", lambda found: _modes(found) <= {"full", "labeled"})
NO_SHARE = Off("empty or a time", lambda found: not is_share(found))
OF_VALUES = Off("of values, as AUC", lambda found: all(str(name).lower() in VALUE_METRICS for name in found))


def _no_member(start: str) -> Off:
    def test(found: Any) -> bool:
        names = found if isinstance(found, (list, tuple)) else []
        return not any(str(name).startswith(start) for name in names)

    return Off(f"without {start}", test)


def _without(name: str) -> Off:
    return Off(f"without {name}", lambda found: name not in (found or ()))


@dataclass(frozen=True)
class Companions:
    """Keys that nothing reads while other keys have some values.

    Attributes:
        when: main key -> values; all must hold. The first one is named in the warning.
        keys: the keys without effect then.
        bases: base models that this is so for; empty: all that have the main keys.
    """

    when: Mapping[str, Off]
    keys: Tuple[str, ...]
    bases: Tuple[str, ...] = ()


COMPANIONS: Tuple[Companions, ...] = (
    # item encoder
    Companions({"item_encoder": equal("identity")}, ("feature_dropout", "modality_dropout", "encoder_scale", "encoder_lr_factor",
                "encoder_gradient", "adapted_size", "id_dropout")),
    Companions({"item_encoder": equal("identity", "linear")}, ("fusion", "moda_rank", "moda_experts", "moda_alpha",
                "moda_dropout")),
    Companions({"item_encoder": equal("identity", "moda")}, ("encoder_hidden_size",)),
    Companions({"moda_rank": ZERO}, ("moda_experts", "moda_alpha", "moda_dropout")),
    Companions({"id_embedding": equal("none"), "item_encoder": equal("moda", "linear")}, ("id_shrinkage", "id_dropout")),
    Companions(NO_CONTENT, (*FEATURE_KEYS, "base_fallback"), tuple(BASE_MODELS)),
    # content in the id table and in the targets
    Companions({"id_start": equal("random")}, ("id_start_scale", "id_bound_full")),
    Companions({"id_bound": EMPTY}, ("id_bound_full",)),
    Companions({"id_smoothing": ZERO}, ("id_smoothing_kappa", "id_graph", "id_neighbours")),
    *(Companions(when, ("neighbour_search",), bases) for when in (NO_NEIGHBOURS, NO_CONTENT_GRAPH)
      for bases in (tuple(BASE_MODELS), WITHOUT_ITEM_GRAPH)),
    Companions({"soft_targets": ZERO}, ("soft_targets_neighbours", "soft_targets_scale", "soft_targets_kappa",
                "soft_targets_epochs")),
    # further terms of the loss
    Companions({"cmsa_weight": ZERO}, CMSA_KEYS),
    Companions({"cmsa_teacher": equal("identity")}, ("cmsa_teacher_scale", "cmsa_detach_teacher")),
    Companions({"cmsa_teacher": equal("features"), "cmsa_teacher_scale": FIXED}, ("cmsa_detach_teacher",)),
    Companions({"alignment_weight": ZERO}, ("alignment_run", "alignment_temperature", "alignment_normalize",
                "alignment_max_items")),
    # every run
    Companions({"cold_items": NO_SHARE}, ("cold_items_seed",)),
    Companions({"mode": NOT_DRAWN}, ("eval_negatives_seed",)),
    Companions({"metrics": OF_VALUES}, ("eval_negatives_seed", "topk", "tail_items", "short_users")),
    Companions({"mask_history": equal(False)}, ("mask_validation",)),
    Companions({"fast_sequences": equal(False)}, ("packed_stride",)),
    Companions({"softmax_negatives": EMPTY}, ("softmax_proposal", "sparse_updates")),
    Companions({"eval_step": ZERO}, ("stopping_step", "base_fallback")),
    Companions({"log_wandb": equal(False)}, ("wandb_project",)),
    Companions({"list_metrics": _without("diversity")}, ("list_features",)),
    Companions({"list_metrics": _without("calibration")}, ("list_categories",)),
    Companions({"track": NONE}, ("track_options",)),
    Companions({"measure_energy": equal(False)}, ("energy_country",)),
    # multimodal models and ensembles
    Companions({"cl_weight": ZERO}, ("temperature",), ("MGCN", "SMORE")),
    Companions({"ssl_weight": ZERO}, ("ssl_temperature",), ("SLMRec",)),
    Companions({"n_layers": ZERO}, ("knn_k",), ("MGCN", "SMORE")),
    Companions({"n_mm_layers": ZERO}, ("knn_k", "modality_weights"), ("FREEDOM",)),
    Companions({"n_ui_layers": ZERO}, ("dropout",), ("FREEDOM",)),
    Companions({"alpha": ZERO, "cl_weight": ZERO}, ("n_hyper_layers", "n_hyperedges", "dropout"), ("LGMRec",)),
    Companions({"ensemble_weights": FIXED}, ("ensemble_depth", "ensemble_groups"), BOTH_ENSEMBLES),
    Companions({"members": _no_member("knn:cooccurrence")}, ("knn_neighbours", "knn_shrinkage"), BOTH_ENSEMBLES),
    Companions({"members": _no_member("knn:")}, ("knn_decay",), BOTH_ENSEMBLES),
)  # fmt: skip


def without_main_key(base: str, values: Mapping[str, Any]) -> Dict[str, str]:
    """Return the keys that have no effect with these values -> the main key and its value.

    Args:
        base: name of the base model.
        values: all values of a configuration.

    Example:
        >>> without_main_key("SASRec", {"id_smoothing": 0.0, "id_smoothing_kappa": 5})
        {'id_smoothing_kappa': 'id_smoothing=0.0', 'id_graph': 'id_smoothing=0.0', 'id_neighbours': 'id_smoothing=0.0'}
    """
    found: Dict[str, str] = {}
    places = {**values, "mode": (values.get("eval_args") or {}).get("mode")}
    for row in COMPANIONS:
        applies = not row.bases or base in row.bases
        if applies and all(key in places and off.test(places[key]) for key, off in row.when.items()):
            main = next(iter(row.when))
            for key in row.keys:
                found.setdefault(key, f"{main}={places[main]}")
    return found


def _names(bases: Tuple[str, ...]) -> str:
    return "RecBole's models with SDA" if bases == tuple(BASE_MODELS) else ", ".join(bases) or "all"


def companions_table() -> str:
    """Return the second table of ``docs/recbole_keys.md``."""
    lines = ["| Keys | Not read with | Models |", "| --- | --- | --- |"]
    for row in COMPANIONS:
        keys = ", ".join(f"`{key}`" for key in row.keys)
        when = " and ".join(f"`{key}` {off.text}" for key, off in row.when.items())
        lines.append(f"| {keys} | {when} | {_names(row.bases)} |")
    return "\n".join([*lines, ""])
