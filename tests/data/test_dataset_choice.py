"""Which data set a run uses."""

import subprocess
import sys
import time

import pytest

from recbole_sda.data.dataset_choice import choose_dataset, ensure_sample
from recbole_sda.data.miniature import generate
from recbole_sda.errors import InputError
from recbole_sda.features.store import find_store


def test_a_prepared_set_is_used_unchanged(data_path, caplog):
    assert choose_dataset("tiny", data_path) == "tiny" and not caplog.text


def test_pre_split_files_count_as_prepared(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "d.train.inter").touch()
    assert choose_dataset("d", tmp_path) == "d"


def test_a_supported_set_that_is_not_prepared_is_replaced_by_its_miniature_with_a_warning(tmp_path, caplog):
    assert choose_dataset("Amazon_Sports", tmp_path) == "Amazon_Sports-sample"
    for part in (
        "is not prepared",
        "Amazon_Sports.inter",
        "dataset_prep amazon",
        "BUILT-IN MINIATURE Amazon_Sports-sample",
    ):
        assert part in caplog.text
    (tmp_path / "Amazon_Sports").mkdir()
    (tmp_path / "Amazon_Sports" / "Amazon_Sports.inter").touch()
    assert choose_dataset("Amazon_Sports", tmp_path) == "Amazon_Sports"


def test_asking_for_the_miniature_needs_no_warning(tmp_path, caplog):
    assert choose_dataset("Amazon_Toys-sample", tmp_path) == "Amazon_Toys-sample" and not caplog.text


@pytest.mark.parametrize(
    "name, hint", [("Amazon_Sport", "Did you mean 'Amazon_Sports'"), ("tinny", "Did you mean 'tiny'")]
)
def test_unknown_names(data_path, name, hint):
    with pytest.raises(InputError, match=f"data set '{name}': .*{name}.inter does not exist.*{hint}"):
        choose_dataset(name, data_path)


def test_the_miniature_is_made_once_with_its_features(miniature_path):
    folder = miniature_path / "Amazon_Sports-sample"
    store = find_store(folder)
    assert store.modalities == ["image", "text"] and store.counts["image"]["missing"] > 0
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    ensure_sample("Amazon_Sports-sample", miniature_path)
    assert made == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


RACE = """
import sys, time
from pathlib import Path
from recbole_sda.data import dataset_choice
from recbole_sda.data.miniature import generate

generate.N_ITEMS, generate.N_USERS = 300, 100
root = Path(sys.argv[1])
(root / "ready").touch()
while not (root / "go").exists():
    time.sleep(0.001)
dataset_choice.ensure_sample("Amazon_Baby-sample", root)
"""


def test_two_processes_generate_the_miniature_once(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "N_ITEMS", 300)  # the processes compete in the same way for less work
    monkeypatch.setattr(generate, "N_USERS", 100)
    with subprocess.Popen([sys.executable, "-c", RACE, tmp_path], stderr=subprocess.PIPE, text=True) as other:
        while not (tmp_path / "ready").exists() and other.poll() is None:
            time.sleep(0.01)
        (tmp_path / "go").touch()
        ensure_sample("Amazon_Baby-sample", tmp_path)
        _, error = other.communicate(timeout=120)
    assert other.returncode == 0, error
    assert find_store(tmp_path / "Amazon_Baby-sample").modalities == ["image", "text"]
