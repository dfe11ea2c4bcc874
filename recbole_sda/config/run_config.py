"""The configuration of one run: RecBole's Config with YAML values, the package's defaults, and no silent typos.

Order, later wins: RecBole's overall.yaml, its file of the base model, its files of the data set and model type; the package's
defaults (:func:`~recbole_sda.config.defaults.package_defaults`); the files of --config_files, in their order; --key=value.
"""

import copy
import logging
import os
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from recbole.config import Config
from recbole.utils import ModelType

from recbole_sda.config.code_keys import check_code_keys
from recbole_sda.config.defaults import RUN, package_defaults
from recbole_sda.config.known_keys import check_given, check_preset
from recbole_sda.config.number_ranges import check_number_ranges
from recbole_sda.config.recbole_keys import check_recbole_keys
from recbole_sda.config.run_checks import (
    check_activation,
    check_auto,
    check_energy,
    check_evaluation,
    check_folders,
    check_learner,
    check_list_metrics,
    check_loss,
    check_metrics,
    check_numbers,
    check_order,
    check_rare_item_decay,
    check_softmax,
    check_train_mask,
    check_types,
)
from recbole_sda.config.split_checks import GIVEN, PART_COLUMN, check_cold_items, needs_times
from recbole_sda.config.unread_keys import KeyContext, changed_defaults, check_effect, unread_keys
from recbole_sda.errors import InputError, plain_message
from recbole_sda.io.yaml import YamlLoader, properties_dir, read_yaml
from recbole_sda.machine import torchrun
from recbole_sda.machine.devices import choose_device
from recbole_sda.model.model_table import BASE_MODELS
from recbole_sda.model.registry import base_name, base_spec, check_packages, class_name, model_class
from recbole_sda.tracking.settings import KEYS as TRACKING_KEYS
from recbole_sda.tracking.settings import OPTIONS, TRACK, check_options, check_trackers

logger = logging.getLogger(__name__)

DEFAULT_FIELDS = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "RATING_FIELD": "rating",
    "LABEL_FIELD": "label",
}  # RecBole's
# What a machine or a tracker needs and a result does not depend on.
MACHINE_KEYS = {
    "gpu_id", "use_gpu", "threads", "show_progress", "state", "measure_energy", "energy_country", *TRACKING_KEYS,
}  # fmt: skip


class RunConfig(Config):
    """RecBole's configuration of one run.

    Args:
        model: a RecBole model or a *_SDA model.
        dataset: name of the data set.
        config_files: YAML files, later ones win.
        overrides: further keys, which win over the files.
        source: where the further keys were given, for messages.

    Attributes:
        key_context: what decides which keys have an effect.
        resolved: all values before RecBole derives others from them: plain data, fit to be given as a config file.

    Raises:
        InputError: an unknown model, file, key or value.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        config_files: Sequence[str] = (),
        overrides: Optional[Dict[str, Any]] = None,
        source: str = "command line",
    ):
        self.resolved: Dict[str, Any] = {}
        self.key_context: KeyContext
        self.ignored_keys = check_given(model, dataset, config_files, overrides or {}, source)
        check_packages(model)
        self._name, self._class = model, model_class(model)
        self._files = list(config_files)
        try:
            super().__init__(self._class, dataset, [str(path) for path in config_files], dict(overrides or {}))
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"configuration of {model} on {dataset}: {plain_message(error)}") from error

    # RecBole evaluates strings as Python, reads sys.argv and adds a resolver to yaml.FullLoader; here, values are YAML.
    def _build_yaml_loader(self) -> Any:
        return YamlLoader

    def _convert_config_dict(self, config_dict: Dict[str, Any]) -> Dict[str, Any]:
        return config_dict

    def _load_config_files(self, file_list: Sequence[str]) -> Dict[str, Any]:
        return {key: value for path in file_list for key, value in read_yaml(path).items()}

    def _load_cmd_line(self) -> Dict[str, Any]:
        return {}

    def _get_model_and_dataset(self, model: Any, dataset: Any) -> Tuple[str, Any, str]:
        return (
            self._name,
            self._class,
            dataset,
        )  # RecBole takes the name of the class, which of a user's model is not enough

    def _load_internal_config_dict(self, model: str, model_class: Any, dataset: str) -> None:
        super()._load_internal_config_dict(class_name(base_name(model)), model_class, dataset)
        values = self.internal_config_dict
        self._run_defaults = {**values, **read_yaml(properties_dir() / RUN)}  # models check the types of the others
        preset = self.external_config_dict.get("preset")
        if preset:
            check_preset(str(preset), model, dataset)
        values.update(package_defaults(model, dataset, self.external_config_dict))

    def _get_final_config_dict(self) -> Dict[str, Any]:
        values = super()._get_final_config_dict()
        check_code_keys(self._name, values)
        if values.get("gpu_id") is None:
            values["gpu_id"] = ""
        given = "train_neg_sample_args" in self.external_config_dict
        if values.get("loss_type") == "CE" and not given and not hasattr(self._class, "input_type"):
            values["train_neg_sample_args"] = None  # RecBole's default asks for negatives, which its CE models refuse
        check_recbole_keys(values)
        changed_defaults(values, self.external_config_dict, self._class.type == ModelType.SEQUENTIAL)
        if not isinstance(values["eval_args"], dict):
            raise InputError(f"eval_args={values['eval_args']!r}: expected a dict, as {{mode: uni100}}")
        values["eval_args"] = self._evaluation(values)
        check_cold_items(self._class.type, values)
        check_order(self._class.type, values)
        values["load_col"] = self._columns(values)
        check_numbers(values)
        check_types(values, self._run_defaults)
        check_number_ranges(class_name(base_name(self.model)), self._class.type == ModelType.SEQUENTIAL, values)
        check_learner(values)
        check_loss(base_name(self.model), self._class.type, values)
        check_softmax(values)
        check_folders(values)
        check_activation(values)
        check_auto("sparse_updates", values)
        check_auto("mask_history", values)
        check_metrics(values)
        check_list_metrics(values)
        check_energy(values)
        values.update(_tracking(values))
        spec = base_spec(self.model)
        self.key_context = context = KeyContext(self.model, self._class, spec, values)
        check_effect(context, self.external_config_dict, self.internal_config_dict)
        self.ignored_keys += unread_keys(context, self.external_config_dict, self.internal_config_dict)
        for key in ("softmax_negatives", "popularity_adjustment", "logit_temperature"):
            if values[key] != self._run_defaults[key] and (spec is None or spec.loss == "own"):
                able = ", ".join(name for name, other in BASE_MODELS.items() if other.loss != "own")
                raise InputError(f"{key}: {self.model} computes its own loss; models that read this key are {able}")
        check_train_mask(self._class.type, spec, values)
        check_rare_item_decay(self.model, spec, values)
        self.resolved = copy.deepcopy({k: v for k, v in values.items() if k != "MODEL_TYPE"})
        self.resolved.update(model=self.model, dataset=self.dataset)
        return values

    def _init_device(self) -> None:
        # RecBole would set CUDA_VISIBLE_DEVICES for all that comes after, Ray among it, and not read use_gpu.
        values = self.final_config_dict
        if torchrun.world_size() == 1:
            device = choose_device(values["gpu_id"], values["use_gpu"])
            values.update(single_spec=True, device=device, local_rank=0)
            return
        device = torchrun.start(values["use_gpu"])
        local_rank = int(os.environ["LOCAL_RANK"])
        values.update(single_spec=False, device=device, local_rank=local_rank, world_size=torchrun.world_size())

    def _evaluation(self, values: Dict[str, Any]) -> Dict[str, Any]:
        """Return eval_args; what a file or the command line leaves out is taken from what came before it.

        A column ``part`` of the interaction file is the split, unless a file or the command line gives another one.
        """
        evaluation = dict(self.internal_config_dict["eval_args"])
        if PART_COLUMN in self._file_columns(values) and not values["benchmark_filename"]:
            evaluation["split"] = {GIVEN: PART_COLUMN}
        for layer in [*(read_yaml(path) for path in self._files), self.variable_config_dict]:
            evaluation.update(layer.get("eval_args") or {})
        check_evaluation(evaluation)
        return evaluation

    def _file_columns(self, values: Dict[str, Any]) -> Dict[str, str]:
        """Return name -> type of the columns of the data set's undivided interaction file; empty where there is none."""
        path = Path(values["data_path"]) / self.dataset / f"{self.dataset}.inter"
        return columns_of(path, values["field_separator"], values["encoding"]) if path.is_file() else {}

    def _columns(self, values: Dict[str, Any]) -> Any:
        """Return load_col: its defaults follow the names of the fields, and columns that the run reads are added if they exist."""
        columns: Any = copy.deepcopy(values.get("load_col"))
        if not columns or "inter" not in columns:
            return columns
        given = "load_col" in self.external_config_dict
        if not given:
            names = {default: values[field] for field, default in DEFAULT_FIELDS.items()}
            columns["inter"] = [names.get(column, column) for column in columns["inter"]]
        needed = [values["TIME_FIELD"]] if not given or needs_times(values) else []
        needed += [values["eval_args"]["split"][GIVEN]] if GIVEN in values["eval_args"]["split"] else []
        there = self._file_columns(values)
        columns["inter"] = [*columns["inter"], *(n for n in needed if n in there and n not in columns["inter"])]
        return columns


def _tracking(values: Dict[str, Any]) -> Dict[str, Any]:
    """Return the checked keys of trackers. RecBole's ``log_wandb`` and ``wandb_project`` become ``track`` and ``track_options``."""
    names, options = check_trackers(values[TRACK]), check_options(values[OPTIONS])
    if values.get("log_wandb"):
        try:
            names = names if "wandb" in names else [*names, *check_trackers("wandb")]
        except InputError as error:
            raise InputError(f"log_wandb=True: {error}") from None
        options.setdefault("project", str(values["wandb_project"]))
    return {TRACK: names, OPTIONS: options, "log_wandb": False}


def columns_of(path: Path, separator: str, encoding: str) -> Dict[str, str]:
    """Return name -> type of the columns of an atomic file, from its first line."""
    with open(path, encoding=encoding, errors="replace") as file:
        header = file.readline().rstrip("\r\n")
    return dict(column.partition(":")[::2] for column in header.split(separator))
