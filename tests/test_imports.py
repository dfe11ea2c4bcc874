"""Who may import whom: a folder is a level, imports go downwards, and heavy packages have one home."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# From the lowest level up; a folder or module may import its own level and those below.
LEVELS = [
    {"errors", "validation", "io", "machine", "tracking", "layers", "losses", "graphs", "metrics"},
    {"features", "recbole_patches"},
    {"model", "lvlm"},
    {"config"},
    {"data"},
    {"engine"},
    {"comparison", "tune", "recommend", "report", "serve", "hub"},
    {"models", "recbole_plugin"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
SEPARATE = {"model": "lvlm", "lvlm": "model"}  # neither imports the other
PURE = {"layers", "losses"}  # torch only
HOMES = {
    "ray": {"machine", "lvlm", "tune", "comparison"},
    "optuna": {"tune"},
    "codecarbon": {"engine"},
    "matplotlib": {"report"},
    "transformers": {"lvlm"},
    "peft": {"lvlm"},
    "fastapi": {"serve"},
    "uvicorn": {"serve"},
    "faiss": {"graphs"},
    "onnx": {"recommend"},
    "onnxruntime": {"recommend"},
    "sentence_transformers": {"lvlm"},
    "huggingface_hub": {"io", "lvlm"},
    "mlflow": {"tracking"},
    "wandb": {"tracking"},
    "trackio": {"tracking"},
    "recbole": {"recbole_patches", "model", "config", "data", "engine"},
}
PACKAGE_FILES = sorted((ROOT / "recbole_sda").rglob("*.py"))
PREPARATION_FILES = sorted((ROOT / "dataset_prep").rglob("*.py"))


def folder_of(path: Path) -> str:
    return path.relative_to(ROOT / "recbole_sda").with_suffix("").parts[0]


def imported(path: Path) -> list:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "recbole_sda" else []
    return names


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_levels(path):
    here = folder_of(path)
    if here == "__init__":
        return
    for name in imported(path):
        top, _, rest = name.partition(".")
        assert top != "dataset_prep", "the package never imports dataset_prep"
        if top == "recbole_sda" and rest and not rest.startswith("_"):
            there = rest.split(".")[0]
            assert LEVEL[there] <= LEVEL[here], f"{here} imports {there}"
            assert SEPARATE.get(here) != there, f"{here} imports {there}"
            if here in PURE:
                assert there in PURE, f"{here} imports {there}"
        if top in HOMES:
            assert here in HOMES[top], f"{here} imports {top}"


@pytest.mark.parametrize("path", PREPARATION_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_preparation_uses_the_lowest_level_and_the_command_line(path):
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "recbole_sda" and rest and not rest.startswith("_"):
            assert rest.split(".")[0] in LEVELS[0] | {"cli", "config", "data"}, name
        assert top not in HOMES


def test_every_folder_has_a_level():
    assert {folder_of(path) for path in PACKAGE_FILES} - {"__init__"} <= set(LEVEL)


@pytest.mark.parametrize(
    "module", ["recbole_sda", "recbole_sda.model.registry", "recbole_sda.cli.run", "recbole_sda.cli.main"]
)
def test_cheap_modules_import_nothing_heavy(module):
    code = f"import sys, {module}; print({{'torch', 'recbole', 'ray', 'pandas', 'sklearn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


def test_every_package_is_installed():
    """An installation that is not editable holds what setup.cfg names."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    named = set(config["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("recbole_sda", "dataset_prep")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert named - {"recbole_sda.properties"} == found
