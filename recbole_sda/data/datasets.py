"""Which data set a run uses, and RecBole's data set and dataloaders for it."""

import hashlib
import logging
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX, preparation_command, supported_datasets
from recbole_sda.config.run_config import RunConfig, columns_of
from recbole_sda.data.eval_loaders import eval_loader
from recbole_sda.data.miniature.generate import generate
from recbole_sda.data.prefix_samples import fast_augmentation
from recbole_sda.data.train_loaders import fast_loader
from recbole_sda.data.train_negatives import vectorised
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.extract import extract_light
from recbole_sda.features.store import sha256_of, store_path, stored_sha256
from recbole_sda.io.locks import wait_for_lock
from recbole_sda.model.registry import BASE_MODELS, base_name, reads_features
from recbole_sda.recbole_patches import compat

from recbole.utils import ModelType  # isort: skip

logger = logging.getLogger(__name__)

SHIPPED_WITH_RECBOLE = "ml-100k"
COLUMN_TYPES = {"token", "float", "token_seq", "float_seq"}  # of RecBole's atomic files
SAMPLE_DIM = 64  # width of the light features of a miniature


class Counts(NamedTuple):
    """Interactions of each user and item in the training part, (n_users,) and (n_items,), int64; row 0 is padding."""

    users: np.ndarray
    items: np.ndarray


class Data(NamedTuple):
    """RecBole's data set, its dataloaders (None where the split has no such part), the counts of the training part, and hashes
    of the files that all this is made of, see :func:`inputs_of`."""

    dataset: object
    train: object
    valid: Optional[object]
    test: Optional[object]
    counts: Counts
    inputs: Dict[str, str]


def inputs_of(config: RunConfig) -> Dict[str, str]:
    """Return hashes of what a run reads: ``interactions``, the data set's files of them, and ``features``, the vectors."""
    hashes = [_file_sha256(path, path.stat().st_size, path.stat().st_mtime_ns) for path in _interaction_files(config)]
    found = {"interactions": hashlib.sha256(" ".join(hashes).encode()).hexdigest()}
    if reads_features(config["model"]):
        found["features"] = stored_sha256(store_path(config["data_path"], config["features"]))
    return found


def _interaction_files(config: RunConfig) -> List[Path]:
    """Return the data set's file of interactions, or those of its split."""
    return sorted(Path(config["data_path"]).glob(f"{config['dataset']}.*inter"))


@lru_cache(maxsize=None)  # a comparison asks for every run
def _file_sha256(path: Path, size: int, changed: int) -> str:
    """Return the hash of a file as it is with this size and time of change."""
    return sha256_of(path)


def is_prepared(name: str, data_path) -> bool:
    """Return whether the data set's folder holds an interaction file (or its pre-split parts)."""
    return any((Path(data_path) / name).glob(f"{name}.*inter"))


def choose_dataset(name: str, data_path) -> str:
    """Return the data set to run on: ``name``, or its built-in miniature where a supported set is not prepared.

    Says at warning level how to prepare the real one.

    Raises:
        InputError: the data set is neither prepared nor supported.
    """
    if name == SHIPPED_WITH_RECBOLE or is_prepared(name, data_path):
        return name
    full, folder = name.removesuffix(SAMPLE_SUFFIX), Path(data_path) / name
    if full not in supported_datasets():
        root = Path(data_path)
        there = sorted(path.name for path in root.iterdir() if is_prepared(path.name, root)) if root.is_dir() else []
        known = sorted({*there, *supported_datasets(), SHIPPED_WITH_RECBOLE})
        raise InputError(
            f"data set {name!r}: {folder / (name + '.inter')} does not exist, and no miniature is built in; "
            "`python -m dataset_prep --help` says how to make one. "
            f"Known are {', '.join(known)}.{nearest(name, known)}"
        )
    if name == full:
        _say_miniature(name, str(data_path))
    return full + SAMPLE_SUFFIX


@lru_cache(maxsize=None)  # once in a process, however many runs it makes
def _say_miniature(name: str, data_path: str) -> None:
    folder = Path(data_path) / name
    logger.warning(
        "%s is not prepared: %s does not exist.\n"
        "  For the real data: %s\n"
        "  (downloads reviews, metadata and pictures), then item vectors into %s:\n"
        "  python -m recbole_sda features --help, or lvlm --help.\n"
        "  THIS RUN USES THE BUILT-IN MINIATURE %s: invented products and users, whose numbers say\n"
        "  nothing about the real data set.",
        name, folder / f"{name}.inter", preparation_command(name, data_path), folder / "features", name + SAMPLE_SUFFIX,
    )  # fmt: skip


def ensure_sample(name: str, data_path) -> None:
    """Make a miniature and its light features where they are missing."""
    folder = Path(data_path) / name
    with wait_for_lock(Path(data_path) / f".{name}.lock"):
        if not is_prepared(name, data_path):
            logger.info("generating %s in %s", name, folder)
            generate(name.removesuffix(SAMPLE_SUFFIX), data_path)
        store = folder / "features" / "light"
        if not store.is_dir() and (folder / "items.jsonl").is_file():
            logger.info("extracting light features of %s into %s", name, store)
            extract_light(folder / "items.jsonl", store, SAMPLE_DIM)


def load_data(config: RunConfig, with_test: bool = True) -> Data:
    """Return RecBole's data set, split and wrapped in dataloaders as the base model needs them.

    With ``with_test`` False no interaction of the test part is left in it: ``test`` is None, ``dataset`` knows users and items
    alone.
    """
    from recbole.data import create_dataset

    inputs = inputs_of(config)
    for key in ("save_dataset", "dataset_save_path", "save_dataloaders", "dataloaders_save_path"):
        if config[key]:
            raise InputError(f"{key}={config[key]}: data are read anew for each run, in seconds, and not stored")
    _check_columns(config)
    with compat.base_model_name(config, base_name(config["model"])), fast_augmentation():
        try:
            with compat.ids_as_written():
                dataset = create_dataset(config)
            _order_by_time(config, dataset)
            total = _counts(dataset)  # before a sequential data set leaves the first item of each user out
            train, valid, test = _split(config, dataset)
        except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
            if config["benchmark_filename"] and config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
                raise InputError(
                    f"benchmark_filename={config['benchmark_filename']}: {config['model']} is sequential, and RecBole reads its "
                    "parts only from files with a column of histories; give it the undivided .inter file instead"
                ) from error
            raise InputError(f"data set {config['dataset']} in {config['data_path']}: {error}") from error
    drawn = config["train_neg_sample_args"]["distribution"] != "none"
    if (
        config["MODEL_TYPE"] == ModelType.CONTEXT
        and not drawn
        and config["LABEL_FIELD"] not in train._dataset.inter_feat
    ):
        raise InputError(
            f"{config['model']} learns from labels, and {config['dataset']} has no column {config['LABEL_FIELD']!r}: give "
            "threshold, as {rating: 3}, or train_neg_sample_args, as {distribution: uniform, sample_num: 1}"
        )
    valid, test = (part if part is not None and len(part.dataset.inter_feat) else None for part in (valid, test))
    name, needed = ("test", test) if with_test else ("validation", valid)
    if needed is None:
        raise InputError(f"eval_args: split={config['eval_args']['split']} leaves no interactions for the {name} part")
    if max(config["topk"]) >= dataset.item_num - 1:
        raise InputError(
            f"topk={config['topk']}: {config['dataset']} has {dataset.item_num - 1} items, and each k must be below that"
        )
    row = BASE_MODELS.get(base_name(config["model"]))
    if row is not None and row.family == "sequential":
        train = fast_loader(config, train, row)
    held = [_counts(part.dataset) for part in (valid, test) if part is not None]
    counts = Counts(*(all_of - sum(parts) for all_of, *parts in zip(total, *held)))
    train._dataset.training_counts = counts  # for models, which RecBole gives the training part alone
    if not with_test:
        dataset.inter_feat, test = None, None
    return Data(dataset, train, valid, test, counts, inputs)


def _check_columns(config: RunConfig) -> None:
    """Refuse an interaction file whose first line RecBole would stumble over, or that lacks a column which a run reads."""
    needed = [config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]]
    timed = config["eval_args"]["order"] == "TO" or config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    if timed and not config["benchmark_filename"]:
        needed.append(config["TIME_FIELD"])
    for path in _interaction_files(config):
        columns = columns_of(path, config["field_separator"])
        if not set(columns.values()) <= COLUMN_TYPES:
            raise InputError(
                f"{path}: expected a first line of name:type, as user_id:token, parted by {config['field_separator']!r}, "
                f"with the types {', '.join(sorted(COLUMN_TYPES))}; found {', '.join(map(':'.join, columns.items()))[:100]!r}"
            )
        for name in needed:
            if name not in columns:
                raise InputError(
                    f"{path}: there is no column {name!r}, which the run reads; there is {', '.join(columns)}"
                )


def _order_by_time(config, dataset) -> None:
    """Sort interactions by time before RecBole does, which holds times in float32: seconds of our days in steps of 64 or 128.

    Inside such a step, and only there, its stable sort keeps what it finds.
    """
    if (
        config["eval_args"]["order"] == "TO"
        and not config["benchmark_filename"]
        and dataset.time_field in dataset.inter_feat
    ):
        dataset.inter_feat = dataset.inter_feat.sort_values(dataset.time_field, kind="stable").reset_index(drop=True)


def _counts(dataset) -> Counts:
    sizes = ((dataset.uid_field, dataset.user_num), (dataset.iid_field, dataset.item_num))
    return Counts(*(np.bincount(np.asarray(dataset.inter_feat[field]), minlength=n) for field, n in sizes))


def _split(config: RunConfig, dataset) -> tuple:
    """Return the three dataloaders: what RecBole's ``data_preparation`` does, with our own for evaluation."""
    from recbole.data.utils import create_samplers, data_preparation, get_dataloader

    if config["MODEL_TYPE"] not in (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.SEQUENTIAL):
        return data_preparation(config, dataset)
    parts = dataset.build()
    samplers = create_samplers(config, dataset, parts)
    train = get_dataloader(config, "train")(config, parts[0], vectorised(samplers[0]), shuffle=config["shuffle"])
    return train, *(eval_loader(config, parts, phase, samplers[k]) for k, phase in ((1, "valid"), (2, "test")))
