"""Malformed JSON, YAML and tables, in process: refused in one line, or taken for a reason that the test names."""

import json
import os

import numpy as np
import pytest
from malformed import damaged_bytes, damaged_tables, not_text, odd_json, odd_yaml, other_values

from dataset_prep.problems import Problems
from dataset_prep.table import read_interactions
from recbole_sda.comparison.tables import read_comparison
from recbole_sda.engine.run import settings_of
from recbole_sda.engine.run_folder import read_metrics
from recbole_sda.engine.train_log import read_history
from recbole_sda.features.items_file import read_items
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.writer import write_store
from recbole_sda.io.atomic_table import read_atomic
from recbole_sda.io.yaml import read_yaml
from recbole_sda.lvlm.adapters import read_config
from recbole_sda.lvlm.record import read_record
from recbole_sda.report.gradients import conflict_figure

METRICS = {
    "model": "BPR",
    "dataset": "tiny",
    "protocol": {"loss": "BPR", "split": "x", "evaluation": {"test": "full sort"}, "items": 9, "selection": "x"},
    "valid": None,
    "test": {"hit@5": 0.5},
    "groups": {"test": {"items": {"tail": {"hit@5": 0.5}}, "users": {}}},
    "seconds": {"training": 1.5},
    "environment": {"torch": "2"},
    "best_epoch": 1,
    "epochs_run": 2,
    "parameters": 3,
}
POINT = {"step": 0, "mean": 0.5, "layers": {"a": 0.5}}
GRADIENTS = {"methods": {"moda": [POINT]}, "backbone": {"model": "x"}}
RECORD = {"settings": {"method": "moda"}, "backbone": {}, "items_sha256": "x", "gates": {"a": [[0.5], [0.5]]}}
ADAPTER = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["a"]}
HISTORY = {"epoch": 0, "phase": "train", "seconds": 1.5, "loss": {"recommendation": 3.5}}
CONFIG = {"model": "BPR", "dataset": "tiny", "data_path": "d", "seed": 1, "epochs": 3}


def try_all(outcomes, path, cases, read):
    for name, content in cases:
        path.write_bytes(content)
        outcomes.try_file(f"{path.name} {name}", path, lambda: read(path))


def folder_of(read):
    return lambda path: read(path.parent)


@pytest.mark.parametrize(
    "name, sound, read, taken_at_most",
    [
        # Taken: further keys, whole numbers for numbers, empty lists and objects, flips inside texts.
        ("metrics.json", METRICS, folder_of(read_metrics), 75),
        ("gradients.json", GRADIENTS, conflict_figure, 30),
        ("adapt.yaml", RECORD, read_record, 60),
        ("adapter_config.json", ADAPTER, folder_of(read_config), 60),
        ("config.yaml", CONFIG, folder_of(settings_of), 60),
    ],
)
def test_objects(tmp_path, outcomes, name, sound, read, taken_at_most):
    path = tmp_path / name
    path.write_text(json.dumps(sound))
    read(path)
    odd = odd_yaml() if name.endswith(".yaml") else odd_json()
    cases = [*not_text(), *odd, *other_values(sound), *damaged_bytes(json.dumps(sound).encode(), 1, 30)]
    try_all(outcomes, path, cases, read)
    outcomes.check(100, taken_at_most)


def test_lines(tmp_path, outcomes):
    """Of a history: an empty file has no lines, and a last line without an end is skipped."""
    path = tmp_path / "history.jsonl"
    cases = [(name, content + b"\n") for name, content in [*odd_json(), *not_text(), *other_values(HISTORY)]]
    try_all(outcomes, path, cases, folder_of(read_history))
    outcomes.check(80, 25)


def test_items(tmp_path, outcomes):
    """Of an items file: any further field is text, and NaN is a missing value."""
    path = tmp_path / "items.jsonl"
    sound = {"item_id": "a", "title": "x", "image": "a.jpg"}
    cases = [*odd_json(), *not_text(), *other_values(sound), *damaged_bytes(json.dumps(sound).encode(), 2, 30)]
    try_all(outcomes, path, cases, read_items)
    outcomes.check(90, 45)


def test_yaml(tmp_path, outcomes):
    """Of a configuration file: an empty one has no keys; an alias that is used once is a value."""
    path = tmp_path / "run.yaml"
    try_all(outcomes, path, [*odd_yaml(), *not_text()], read_yaml)
    outcomes.check(30, 3)


@pytest.mark.parametrize("separator, suffix", [(",", "csv"), (";", "csv"), ("\t", "tsv")])
def test_tables(tmp_path, outcomes, separator, suffix):
    """Of one's own: tables with tabs have no quotation, so a quotation mark is a part of an id there."""
    path = tmp_path / f"t.{suffix}"
    rows = [
        separator.join(["user_id", "item_id", "time"]),
        *(separator.join([f"u{k % 7}", f"i{k}", f"{k}"]) for k in range(40)),
    ]
    columns = {"user": "user_id", "item": "item_id", "time": "time", "rating": None}
    cases = [*damaged_tables(rows, separator), *not_text()]
    try_all(outcomes, path, cases, lambda p: read_interactions(p, columns, Problems()))
    outcomes.check(20, 5 if suffix == "tsv" else 3)


def test_atomic_tables(tmp_path, outcomes):
    path = tmp_path / "t.item"
    rows = ["item_id:token\ttitle:token_seq\tprice:float", *(f"i{k}\ttitle {k}\t{k}" for k in range(20))]
    try_all(outcomes, path, [*damaged_tables(rows, "\t"), *not_text()], read_atomic)
    outcomes.check(20, 14)  # it reads texts: quotation marks and numbers are texts


def test_comparisons(tmp_path, outcomes):
    path = tmp_path / "comparison.json"
    try_all(outcomes, path, [*odd_json(), *not_text()], read_comparison)
    outcomes.check(25, 0)


def test_manifests(tmp_path, outcomes):
    """Of a store: further keys are taken, and versions that no reader needs."""
    store = write_store(tmp_path / "s", ["a", "b"], {"text": np.ones((2, 3), np.float32)})
    path = store / "manifest.json"
    sound = json.loads(path.read_text())
    cases = [*odd_json(), *not_text(), *other_values({k: v for k, v in sound.items() if k != "versions"})]
    try_all(outcomes, path, cases, lambda p: FeatureStore(p.parent))
    outcomes.check(150, 20)


@pytest.mark.parametrize("read", [read_yaml, read_items, read_atomic, lambda path: read_metrics(path.parent)])
def test_what_is_no_regular_file(tmp_path, outcomes, read):
    path = tmp_path / "metrics.json"
    for name, make in {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to(path),
        "nowhere": lambda: path.symlink_to(tmp_path / "gone"),
        "device": lambda: path.symlink_to("/dev/zero"),
    }.items():
        make()
        outcomes.try_file(name, path, lambda: read(path))
        path.rmdir() if name == "folder" else path.unlink()
    outcomes.check(5, 0)
