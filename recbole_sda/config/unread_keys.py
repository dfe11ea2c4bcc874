"""Keys whose effect depends on the model or on other keys: what is refused, and what nothing reads and a warning names."""

from math import ceil
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from recbole.utils import InputType, ModelType

from recbole_sda.config.companion_keys import VALUE_METRICS, without_main_key
from recbole_sda.config.defaults import keys_not_read
from recbole_sda.config.known_keys import model_sources
from recbole_sda.config.recbole_keys import RECBOLE_KEYS, WARNED
from recbole_sda.config.split_checks import GIVEN, GLOBAL_TIME
from recbole_sda.errors import InputError
from recbole_sda.model.model_table import ENSEMBLES, NEIGHBOURS, BaseModelSpec
from recbole_sda.model.registry import base_name, class_name, is_multimodal, is_user_model
from recbole_sda.validation import SHARE

KNOWLEDGE_KEYS = {
    "HEAD_ENTITY_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "ENTITY_ID_FIELD", "alias_of_entity_id",
    "alias_of_relation_id", "kg_reverse_r", "entity_kg_num_interval", "relation_kg_num_interval",
}  # fmt: skip
SEQUENTIAL_KEYS = {"ITEM_LIST_LENGTH_FIELD", "LIST_SUFFIX", "MAX_ITEM_LIST_LENGTH"}
EMBEDDED_COLUMN_KEYS = {"numerical_features", "discretization"}
FILTERS = ("rm_dup_inter", "val_interval", "user_inter_num_interval", "item_inter_num_interval")
# Models that RecBole trains on whole users (its register_table of dataloaders): they draw no negatives.
ON_USERS = {"MultiDAE", "MultiVAE", "MacridVAE", "CDAE", "ENMF", "RaCT", "RecVAE", "DiffRec", "LDiffRec"}
TRANSFORM_COLUMNS = {
    "mask_itemseq": "MASK_ITEM_SEQ", "inverse_itemseq": "INVERSE_ITEM_SEQ", "crop_itemseq": "CROP_ITEM_SEQ",
    "reorder_itemseq": "REORDER_ITEM_SEQ",
}  # fmt: skip  # what each adds to a batch
OF_TRAINING = {"learner", "learning_rate", "weight_decay", "warmup_epochs", "clip_grad_norm"}
OF_SEQUENCES = {"fast_sequences", "packed_stride", "train_mask_history"}
SMALLER_IS_BETTER = {"rmse", "mae", "logloss", "averagepopularity", "giniindex"}


class KeyContext:
    """What decides whether a key is read: the model of a run and all values.

    Args:
        model: the model of the run.
        kind: its class.
        spec: its entry in the model table, if any.
        values: all values of the configuration, before RecBole derives others.
    """

    def __init__(self, model: str, kind: Any, spec: Optional[BaseModelSpec], values: Dict[str, Any]):
        self.model, self.spec, self.values = model, spec, values
        self.type: ModelType = kind.type
        self.base = class_name(base_name(model))
        self._fixed_input = getattr(kind, "input_type", None)

    def names(self, word: str) -> bool:
        """Return whether the code of the model itself holds a word. A user's own class may read it anywhere."""
        return is_user_model(self.model) or any(word in text for text in model_sources(base_name(self.model)))

    @property
    def input_type(self) -> Optional[InputType]:
        """How RecBole feeds the model: with single samples, or with pairs of a positive and a negative one."""
        if self._fixed_input is not None:
            return self._fixed_input
        return InputType.PAIRWISE if self.values.get("loss_type") == "BPR" else InputType.POINTWISE

    @property
    def draws_negatives(self) -> bool:
        """Whether negative training items are drawn."""
        given = self.values.get("train_neg_sample_args") or {"distribution": "none"}
        return str(given["distribution"]).lower() != "none"

    @property
    def learns_from_negatives(self) -> bool:
        """Whether training fails without drawn negatives."""
        pairwise = self.input_type == InputType.PAIRWISE and self.values.get("loss_type") not in ("CE", "NLL")
        return pairwise and self.base not in ON_USERS and self.type != ModelType.TRADITIONAL and self.names("NEG_ITEM")

    @property
    def modes(self) -> Set[str]:
        """The modes of evaluation."""
        mode = self.values["eval_args"]["mode"]
        return set(mode.values()) if isinstance(mode, dict) else {str(mode)}

    @property
    def reads_labels(self) -> bool:
        """Whether training or evaluation reads a column of labels; of a user's own class, whether it may."""
        learns = self.type in (ModelType.CONTEXT, ModelType.DECISIONTREE) or self.names("LABEL_FIELD")
        return "labeled" in self.modes or (learns and not self.draws_negatives)


def check_effect(context: KeyContext, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse values that could not have the effect that they ask for; set ``valid_metric_bigger``.

    Args:
        context: model and values of the run.
        given: the user's keys.
        defaults: values without the user's keys.

    Raises:
        InputError: such a value.
    """
    values = context.values
    if defaults.get("train_neg_sample_args") and not context.draws_negatives and context.learns_from_negatives:
        raise InputError(
            f"train_neg_sample_args={values.get('train_neg_sample_args')}: {context.model} learns from negatives; leave out the "
            "key, or give {distribution: uniform, sample_num: 1}"
        )
    if values.get("threshold") and not context.reads_labels:
        raise InputError(
            f"threshold={values['threshold']}: nothing would read these labels: {context.model} does not learn from them with "
            "these keys, and the mode of evaluation is not labeled; val_interval, as {rating: '[3,inf)'}, leaves out interactions"
        )
    _check_transform(context)
    _check_value_metrics(context)
    _check_masks(context)
    metric = str(values["valid_metric"]).partition("@")[0].lower()
    if "valid_metric_bigger" in given and values["valid_metric_bigger"] != (metric not in SMALLER_IS_BETTER):
        raise InputError(
            f"valid_metric_bigger={values['valid_metric_bigger']}: RecBole sets it by valid_metric={values['valid_metric']}; leave "
            "it out"
        )
    values["valid_metric_bigger"] = metric not in SMALLER_IS_BETTER  # for the file of the run, which is read again
    if values.get("benchmark_filename"):
        for key in FILTERS:
            if values.get(key) not in (None, "[0,inf)"):
                raise InputError(
                    f"{key}={values[key]}: RecBole filters no given parts; leave it out, or benchmark_filename"
                )


def _check_transform(context: KeyContext) -> None:
    name = context.values.get("transform")
    if name and not context.names(TRANSFORM_COLUMNS[name]):
        raise InputError(
            f"transform={name}: {context.model} does not read what it makes ({TRANSFORM_COLUMNS[name]}); leave it out"
        )


def _check_masks(context: KeyContext) -> None:
    values = context.values
    if context.spec is None or context.spec.loss != "masked":
        return
    ratio, longest = SHARE.check("mask_ratio", values["mask_ratio"]), values["MAX_ITEM_LIST_LENGTH"]
    if int(ratio * longest) < 1:
        raise InputError(
            f"MAX_ITEM_LIST_LENGTH={longest}: with mask_ratio={ratio} no item of a sequence is masked; expected at least "
            f"1 / mask_ratio, {ceil(1 / ratio) if ratio else 'infinite'}"
        )


def _check_value_metrics(context: KeyContext) -> None:
    metrics = context.values["metrics"]
    of_values = [metric for metric in metrics if metric.lower() in VALUE_METRICS]
    if of_values and "full" in context.modes:
        raise InputError(
            f"metrics={metrics}: {of_values[0]} needs eval_args with the mode labeled, uniN or popN, not full"
        )
    if "labeled" in context.modes and len(of_values) < len(metrics):
        others = [metric for metric in metrics if metric not in of_values]
        raise InputError(
            "eval_args: mode=labeled compares scores with labels; allowed are the metrics AUC, LogLoss, MAE and RMSE, not "
            f"{others[0]}"
        )


def unread_keys(context: KeyContext, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> List[str]:
    """Return the user's keys that have another value than the default and that nothing reads in this run.

    A key that is not read because of another one is followed by that one in brackets.

    Args:
        context: model and values of the run.
        given: the user's keys.
        defaults: values without the user's keys.
    """
    values = context.values
    changed = [key for key in given if values.get(key) != defaults.get(key)]
    unread = _unread_by_model(context)
    found = [key for key in changed if key in unread]
    if given.get("eval_args"):
        parts, usual = values["eval_args"], defaults["eval_args"]
        found += [f"eval_args: {part}" for part in _unread_parts(values) if parts[part] != usual[part]]
    off, named = without_main_key(context.base, values), {*found, *keys_not_read(context.model)}
    return found + [f"{key} (with {off[key]})" for key in changed if key in off and key not in named]


def _unread_parts(values: Mapping[str, Any]) -> Tuple[str, ...]:
    """Return the parts of eval_args that the split of a run does not read."""
    if values.get("benchmark_filename"):
        return ("split", "order", "group_by")
    if {GLOBAL_TIME, GIVEN} & set(values["eval_args"]["split"]):
        return ("order", "group_by")
    return ("group_by",) if "LS" in values["eval_args"]["split"] else ()


def _unread_by_model(context: KeyContext) -> Set[str]:
    """Return the keys that nothing reads in a run of this model, whatever their values are."""
    unread = {key for key, entry in RECBOLE_KEYS.items() if entry.use == WARNED}
    if not is_user_model(context.model):
        if context.type != ModelType.KNOWLEDGE:
            unread |= KNOWLEDGE_KEYS
        if context.type != ModelType.SEQUENTIAL:
            unread |= SEQUENTIAL_KEYS | OF_SEQUENCES
        if not is_multimodal(context.model):
            unread.add("adapted_size")
        if context.type == ModelType.TRADITIONAL or context.base in {*NEIGHBOURS, *ENSEMBLES}:
            unread |= OF_TRAINING
        embeds = context.type in (ModelType.CONTEXT, ModelType.DECISIONTREE) or context.names("numerical_features")
        if not embeds and not context.names("FeatureSeqEmbLayer"):
            unread |= EMBEDDED_COLUMN_KEYS
        unread |= {
            key
            for key, word in (("RATING_FIELD", "RATING"), ("preload_weight", "get_preload"))
            if not context.names(word)
        }
    if context.type == ModelType.SEQUENTIAL:
        unread |= _unread_by_loader(context.spec, context.values)
    return unread


def _unread_by_loader(spec: Optional[BaseModelSpec], values: Mapping[str, Any]) -> Set[str]:
    """Return the keys that the training loader of a sequential model does not read."""
    forms = "padded" if spec is None else spec.sequences
    unread = {"worker"} if values["fast_sequences"] and forms != "padded" else set()
    if forms != "packed" or values.get("loss_type") != "CE":
        unread.add("packed_stride")
    if forms == "padded" and (spec is None or spec.loss == "own"):
        unread.add("fast_sequences")
    return unread


def changed_defaults(values: Dict[str, Any], given: Mapping[str, Any], sequential: bool) -> None:
    """Set, in place, what follows from the user's keys.

    The column of histories in given parts is numbered like the items; RecBole numbers it apart unless it is told. ``unload_col``
    means all other columns; RecBole refuses it beside its own default of ``load_col``.
    """
    if values.get("benchmark_filename") and sequential:
        histories = f"{values['ITEM_ID_FIELD']}{values['LIST_SUFFIX']}"
        values["alias_of_item_id"] = list(dict.fromkeys([*(values.get("alias_of_item_id") or []), histories]))
    if values.get("unload_col") and "load_col" not in given:
        values["load_col"] = None
    columns = values.get("load_col")
    if columns is not None and not columns.get("inter"):
        raise InputError(
            f"load_col={columns}: names no columns of the interactions; add inter: [{values['USER_ID_FIELD']}, "
            f"{values['ITEM_ID_FIELD']}, {values['TIME_FIELD']}]"
        )
