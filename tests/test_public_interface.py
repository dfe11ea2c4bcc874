"""``import recbole_sda``: what it offers, that it is cheap, and that the stub for type checkers agrees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import recbole_sda

STUB = Path(recbole_sda.__file__).with_suffix(".pyi")
HEAVY = {"numpy", "pandas", "peft", "ray", "recbole", "scipy", "sklearn", "torch", "transformers", "yaml"}


@pytest.mark.parametrize("name", recbole_sda.__all__)
def test_every_public_name_exists_and_is_documented(name):
    value = getattr(recbole_sda, name)
    if name == "__version__":
        return
    assert value.__doc__ and len(value.__doc__.split()) > 5
    if name != "lvlm":  # a package; its names are below
        assert ">>>" in value.__doc__, "an example that a doctest runs"


@pytest.mark.parametrize("name", ["adapt", "extract", "MoDAConfig"])
def test_every_public_name_of_the_lvlm_stage_is_documented(name):
    assert ">>>" in getattr(recbole_sda.lvlm, name).__doc__


def test_unknown_names():
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        getattr(recbole_sda, "runn")
    assert dir(recbole_sda) == sorted(recbole_sda.__all__)


def test_the_import_is_cheap():
    code = "import sys; before = set(sys.modules); import recbole_sda; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=STUB.parents[1])
    loaded = done.stdout.split()
    assert not HEAVY & {name.partition(".")[0] for name in loaded}, loaded
    own = {name for name in loaded if name.startswith("recbole_sda")}
    assert own == {
        "recbole_sda",
        "recbole_sda.recbole_patches",
        "recbole_sda.recbole_patches.import_hook",
        "recbole_sda.recbole_patches.replace",
        "recbole_sda.recbole_plugin",
    }
    assert len(loaded) < 40


def test_the_import_changes_no_warning_filter_and_no_library():
    code = "import warnings, pandas, torch; before = warnings.filters[:], pandas.read_csv, torch.load\n"
    code += "import recbole_sda, recbole_sda.engine.experiment\n"
    code += "print(before[1:] == (pandas.read_csv, torch.load))\n"
    code += "print([f for f in warnings.filters if f not in before[0] and f[0] == 'ignore' and f[2] is FutureWarning])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=STUB.parents[1])
    assert done.stdout.split("\n")[:2] == ["True", "[]"], done.stdout + done.stderr


def test_the_stub_agrees_with_the_lazy_table():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "recbole_sda":
            for alias in node.names:
                found[alias.asname] = f"{node.module.removeprefix('recbole_sda.')}:{alias.name}"
    assert found == recbole_sda._PUBLIC
    (names,) = (node.value for node in tree.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(names) == recbole_sda.__all__
