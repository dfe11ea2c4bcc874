"""The configuration of one run: RecBole's Config with YAML values, our defaults, and no silent typos.

Order, later wins: RecBole's overall.yaml, its file of the base model, its files of the data set and model type;
properties/run.yaml; for models that read item features properties/features.yaml; for *_SDA models properties/sda.yaml and the
preset; properties/model/<Base>.yaml; properties/dataset/<dataset>.yaml; what properties/model/<Base>.yaml has as published for
the data set; the files of --config_files, in their order; --key=value.
"""

import copy
import inspect
import logging
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set

import yaml

from recbole_sda.config.dataset_files import dataset_defaults
from recbole_sda.config.run_checks import (
    check_evaluation,
    check_learner,
    check_loss,
    check_mask,
    check_metrics,
    check_numbers,
    check_types,
)
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import YamlLoader, properties_dir, read_yaml
from recbole_sda.machine import torchrun
from recbole_sda.machine.devices import choose_device
from recbole_sda.model.registry import (
    BASE_MODELS,
    MULTIMODAL,
    SUFFIX,
    base_name,
    model_class,
    plain_model,
    reads_features,
)
from recbole_sda.recbole_patches import compat
from recbole_sda.validation import properties_file

compat.apply()

import recbole  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.utils import argument_list  # noqa: E402

logger = logging.getLogger(__name__)

# What this command reads itself, beside the files of properties/.
COMMAND_KEYS = {"model", "dataset", "config_files"}
OWN_FILES = ("run.yaml", "features.yaml", "sda.yaml")
# What a machine needs and a result does not depend on.
MACHINE_KEYS = {"gpu_id", "use_gpu", "threads", "show_progress", "state"}
PUBLISHED = "published"  # in a model's file: its authors' settings by data set


@lru_cache(maxsize=None)
def _recbole_keys(base: str) -> Set[str]:
    """Keys that RecBole itself or the base model reads: those in its YAML files, and ``config["..."]`` in its code."""
    root = Path(recbole.__file__).parent
    keys = set(COMMAND_KEYS)
    files = [root / "properties/overall.yaml", root / "properties/dataset/sample.yaml"]
    files += [
        root / f"properties/model/{base}.yaml",
        _own_file(base),
        *(root / "properties/quick_start_config").glob("*.yaml"),
    ]
    for path in files:
        if path.is_file():
            keys |= set(yaml.load(path.read_text(encoding="utf-8"), YamlLoader) or {})
    for name in ("general", "training", "evaluation", "dataset"):
        keys |= set(getattr(argument_list, f"{name}_arguments"))
    folders = ("config", "data", "evaluator", "sampler", "trainer", "utils")
    sources = [path.read_text(encoding="utf-8") for name in folders for path in (root / name).rglob("*.py")]
    sources.append((root / "model/abstract_recommender.py").read_text(encoding="utf-8"))
    sources.append(Path(inspect.getfile(plain_model(base))).read_text(encoding="utf-8"))
    for text in sources:
        keys |= set(re.findall(r"config\[\s*[\"'](\w+)[\"']\s*\]", text))
    return keys - {PUBLISHED}


def _own_file(base: str) -> Path:
    return properties_dir() / f"model/{base}.yaml"


def model_defaults(base: str) -> str:
    """Return the text of a model's YAML file, RecBole's or ours, empty where there is none."""
    paths = [Path(recbole.__file__).parent / f"properties/model/{base}.yaml", _own_file(base)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())


@lru_cache(maxsize=None)
def _keys_of_any_model() -> Set[str]:
    folders = (Path(recbole.__file__).parent / "properties/model", properties_dir() / "model")
    return {key for folder in folders for path in folder.glob("*.yaml") for key in read_yaml(path)} - {PUBLISHED}


def own_keys() -> Set[str]:
    """Return the keys of properties/run.yaml, features.yaml and sda.yaml."""
    return {key for name in OWN_FILES for key in read_yaml(properties_dir() / name)}


def _unread_keys(model: str) -> Set[str]:
    """Return those of :func:`own_keys` that a model does not read."""
    if model.endswith(SUFFIX):
        return set()
    files = ["sda.yaml"] if model in MULTIMODAL else ["features.yaml", "sda.yaml"]
    return {key for name in files for key in read_yaml(properties_dir() / name)}


def check_keys(keys: Sequence[str], model: str, source: str, strict: bool) -> List[str]:
    """Refuse keys that nothing reads; return those that only other models read.

    Args:
        keys: keys that were given.
        model: the model of the run.
        source: where they were given, for the message.
        strict: whether keys of other models are refused too.
    """
    base = base_name(model)
    known = _recbole_keys(base) | own_keys()
    foreign = [key for key in keys if key not in known]
    for key in foreign:
        elsewhere = key in _keys_of_any_model()
        if strict or not elsewhere:
            reason = f"is a key of other models, not of {model}" if elsewhere else "is not a key that anything reads"
            raise InputError(f"{source}: {key!r} {reason}.{nearest(key, known)}")
    return foreign + sorted(set(keys) & _unread_keys(model))


class RunConfig(Config):
    """RecBole's configuration of one run.

    Args:
        model: a RecBole model or a *_SDA model.
        dataset: name of the data set.
        config_files: YAML files, later ones win.
        overrides: further keys, which win over the files.
        source: where the further keys were given, for messages.

    Attributes:
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
        self.ignored_keys: List[str] = []
        self._class = model_class(model)
        self._files = list(config_files)
        for path in config_files:
            self.ignored_keys += check_keys(list(read_yaml(path)), model, str(path), strict=False)
        self.ignored_keys += check_keys(list(overrides or {}), model, source, strict=True)
        try:
            super().__init__(self._class, dataset, [str(path) for path in config_files], dict(overrides or {}))
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"configuration of {model} on {dataset}: {error}") from error

    # RecBole evaluates strings as Python, reads sys.argv and adds a resolver to yaml.FullLoader; here, values are YAML.
    def _build_yaml_loader(self):
        return YamlLoader

    def _convert_config_dict(self, config_dict):
        return config_dict

    def _load_config_files(self, file_list):
        return {key: value for path in file_list for key, value in read_yaml(path).items()}

    def _load_cmd_line(self):
        return {}

    def _load_internal_config_dict(self, model, model_class, dataset):
        base = base_name(model)
        super()._load_internal_config_dict(base, model_class, dataset)
        properties = properties_dir()
        values = self.internal_config_dict
        values.update(read_yaml(properties / "run.yaml"))
        self._run_defaults = dict(values)  # models check the types of the others
        if reads_features(model):
            values.update(read_yaml(properties / "features.yaml"))
        if model.endswith(SUFFIX):
            values.update(read_yaml(properties / "sda.yaml"))
            preset = self.external_config_dict.get("preset")
            if preset:
                values.update(self._preset(str(preset)))
        own = read_yaml(_own_file(base)) if _own_file(base).is_file() else {}
        published = own.pop(PUBLISHED, None) or {}
        values.update(own)
        values.update(dataset_defaults(dataset))
        values.update(published.get(dataset, {}))

    def _preset(self, name: str) -> Dict[str, Any]:
        return {**read_yaml(properties_file("preset", name, "preset")), "preset": name}

    def _get_final_config_dict(self):
        values = super()._get_final_config_dict()
        if values.get("gpu_id") is None:
            values["gpu_id"] = ""
        given = "train_neg_sample_args" in self.external_config_dict
        if values.get("loss_type") == "CE" and not given and not hasattr(self._class, "input_type"):
            values["train_neg_sample_args"] = None  # RecBole's default asks for negatives, which its CE models refuse
        values["load_col"] = self._columns(values)
        if isinstance(values["eval_args"], dict):
            values["eval_args"] = self._evaluation()
        check_numbers(values)
        check_types(values, self._run_defaults)
        check_learner(values)
        check_loss(self._class.type, values)
        check_mask(values)
        check_metrics(values)
        row = BASE_MODELS.get(base_name(self.model))
        for key in ("softmax_negatives", "popularity_adjustment"):
            if values[key] and (row is None or row.loss == "own"):
                able = ", ".join(name for name, other in BASE_MODELS.items() if other.loss != "own")
                raise InputError(f"{key}: {self.model} computes its own loss; models that read this key are {able}")
        self.resolved = copy.deepcopy({k: v for k, v in values.items() if k != "MODEL_TYPE"})
        self.resolved.update(model=self.model, dataset=self.dataset)
        return values

    def _init_device(self):
        # RecBole would set CUDA_VISIBLE_DEVICES for all that comes after, Ray among it, and not read use_gpu.
        values = self.final_config_dict
        if torchrun.world_size() == 1:
            device = choose_device(values["gpu_id"], values["use_gpu"])
            values.update(single_spec=True, device=device, local_rank=0)
            return
        device = torchrun.start(values["use_gpu"])
        local_rank = int(os.environ["LOCAL_RANK"])
        values.update(single_spec=False, device=device, local_rank=local_rank, world_size=torchrun.world_size())

    def _evaluation(self) -> Dict[str, Any]:
        """Return eval_args; what a file or the command line leaves out is taken from what came before it."""
        evaluation = dict(self.internal_config_dict["eval_args"])
        for layer in [*(read_yaml(path) for path in self._files), self.variable_config_dict]:
            evaluation.update(layer.get("eval_args") or {})
        check_evaluation(evaluation)
        return evaluation

    def _columns(self, values: Dict[str, Any]) -> Dict[str, Any]:
        """Return load_col, with the time field added where a sequential model needs it and the file has it."""
        columns = copy.deepcopy(values.get("load_col"))
        if "load_col" in self.external_config_dict or not columns or "inter" not in columns:
            return columns
        path = Path(values["data_path"]) / self.dataset / f"{self.dataset}.inter"
        if path.is_file() and values["TIME_FIELD"] not in columns["inter"]:
            if values["TIME_FIELD"] in columns_of(path, values["field_separator"]):
                columns["inter"] = [*columns["inter"], values["TIME_FIELD"]]
        return columns


def columns_of(path: Path, separator: str) -> Dict[str, str]:
    """Return name -> type of the columns of an atomic file, from its first line."""
    with open(path, encoding="utf-8", errors="replace") as file:
        header = file.readline().rstrip("\n")
    return dict(column.partition(":")[::2] for column in header.split(separator))
