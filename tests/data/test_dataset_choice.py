"""Which data set a run uses."""

import subprocess
import sys

import pytest

from recbole_sda.data.dataset_choice import choose_dataset, ensure_sample
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


def test_the_miniature_is_made_once_with_its_features(tmp_path):
    ensure_sample("Amazon_Baby-sample", tmp_path)
    folder = tmp_path / "Amazon_Baby-sample"
    store = find_store(folder)
    assert store.modalities == ["image", "text"] and store.counts["image"]["missing"] > 0
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    ensure_sample("Amazon_Baby-sample", tmp_path)
    assert made == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_two_processes_generate_the_miniature_once(tmp_path):
    code = "import sys; from recbole_sda.data.dataset_choice import ensure_sample; ensure_sample('Amazon_Baby-sample', sys.argv[1])"
    both = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [process.wait(120) for process in both] == [0, 0], both[0].stderr.read() + both[1].stderr.read()
    assert find_store(tmp_path / "Amazon_Baby-sample").modalities == ["image", "text"]
