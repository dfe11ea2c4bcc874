"""Scripts that no test runs in full still import what the package has."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [*sorted((ROOT / "benchmarks").glob("*.py")), *sorted((ROOT / "docs").glob("*.py"))]


def package_imports(source):
    """Return (module, name) of each import from this repository's packages, also those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("recbole_sda", "dataset_prep"):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_imported_names_exist(path):
    for module, name in package_imports(path.read_text(encoding="utf-8")):
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")


def test_a_name_that_is_gone_is_found():
    assert list(package_imports("def f():\n    from recbole_sda.model import gone")) == [("recbole_sda.model", "gone")]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("recbole_sda.model.gone")
