"""Who may import whom: modules import from lower levels only, and heavy packages have one home."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Level of each module or package; a module may import its own level and those below.
LEVELS = {
    "errors": 0,
    "files": 0,
    "cache": 0,
    "locks": 0,
    "memory": 0,
    "pictures": 0,
    "pages": 0,
    "layers": 0,
    "losses": 0,
    "graphs": 0,
    "features": 0,
    "checkpoint": 0,
    "sequences": 0,
    "candidates": 0,
    "metrics": 0,
    "compat": 0,
    "model": 1,
    "lvlm": 1,
    "config": 2,
    "run_values": 2,
    "datasets": 2,
    "loaders": 2,
    "negatives": 2,
    "eval_loaders": 2,
    "prefixes": 2,
    "collector": 2,
    "optimizers": 0,
    "parallel": 0,
    "devices": 0,
    "trainer": 2,
    "results": 2,
    "group_report": 2,
    "runs": 2,
    "quick_start": 2,
    "histories": 2,
    "ray_session": 3,
    "tune": 3,
    "compare": 3,
    "recommend": 3,
    "command": 3,
    "report": 3,
    "lvlm_demo": 3,
    "lvlm_ray": 3,
    "lvlm_cli": 4,
    "experiments_cli": 4,
    "cli": 4,
    "__main__": 4,
}
PURE = {"layers", "losses"}  # torch only
HOMES = {
    "ray": {"lvlm_ray", "ray_session", "tune", "compare"},
    "matplotlib": {"report"},
    "transformers": {"lvlm"},
    "peft": {"lvlm"},
    "recbole": {"compat", "model", *(k for k, v in LEVELS.items() if v == 2)},
}
FILES = sorted((ROOT / "recbole_sda").rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ROOT / "recbole_sda").with_suffix("").parts
    return parts[0]


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


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_levels(path):
    here = room(path)
    if here == "__init__":
        assert not imported(path)
        return
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "recbole_sda" and rest and not rest.startswith("_"):
            there = rest.split(".")[0]
            assert LEVELS[there] <= LEVELS[here], f"{here} imports {there}"
            if here in PURE:
                assert there in PURE, f"{here} imports {there}"
        if top in HOMES:
            assert here in HOMES[top], f"{here} imports {top}"


def test_every_room_has_a_level():
    assert {room(path) for path in FILES} - {"__init__"} == set(LEVELS)


@pytest.mark.parametrize("module", ["recbole_sda", "recbole_sda.model.table", "recbole_sda.command", "recbole_sda.cli"])
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
