"""Figures and printed outputs of the documentation are those that the code makes."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def outputs():
    """The script docs/make_outputs.py as a module."""
    spec = importlib.util.spec_from_file_location("make_outputs", ROOT / "docs/make_outputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_and_figures_agree_with_the_stored_outputs(outputs):
    """If this fails: ``python docs/make_outputs.py --stored``."""
    assert outputs.drifted(ROOT / "docs/outputs", fresh=False) == []


def test_two_times_give_the_same_files(outputs, tmp_path):
    first, second = (outputs.render(tmp_path / name, ROOT / "docs/outputs") for name in "ab")
    assert len(first) >= 8 and [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_a_changed_number_is_found(outputs, tmp_path):
    stored = shutil.copytree(ROOT / "docs/outputs", tmp_path / "outputs")
    text = (stored / "run.txt").read_text()
    number = text.split("hit@10")[1].split()[0]
    (stored / "run.txt").write_text(text.replace(number, f"{float(number) + 0.2:.4f}"))
    assert "docs/get_started.md" in outputs.drifted(stored, fresh=False)


def test_numbers_within_the_tolerance_agree(outputs):
    assert outputs.numbers_agree("hit@10 0.37 of 1,000", "hit@10 0.38 of 1,001")
    assert not outputs.numbers_agree("hit@10 0.37", "hit@10 0.47")
    assert not outputs.numbers_agree("hit@10 0.37", "ndcg@10 0.37")
    assert not outputs.numbers_agree("a 1 2", "a 1")


def test_an_excerpt_must_be_in_its_output(outputs, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(outputs, "ROOT", tmp_path)
    (tmp_path / "run.txt").write_text("first 1\nsecond 2\n")
    (tmp_path / "README.md").write_text("<!-- excerpt: run -->\n```\nfirst 1\n...\nthird 3\n```\n")
    assert outputs.excerpts_that_drifted(tmp_path) == ["README.md: third 3: not in the output run"]


@pytest.mark.slow
def test_new_runs_print_the_stored_outputs(outputs):
    """If this fails: ``python docs/make_outputs.py``, and CHANGELOG.md marks the change with **results**."""
    assert outputs.drifted(ROOT / "docs/outputs", fresh=True) == []
