"""What the guides promise: error messages exist, changes of CONTRIBUTING.md pass their contracts, files for release agree."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import recbole_sda

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = (
    "No module named",
    "No space left on device",
    "CUDA out of memory",
)  # messages of Python, of systems and of torch
CHANGE = re.compile(r"<!-- change: (\w+) -->\n```diff\n(.*?)```.*?```\npython -m (pytest .*?)\n```", re.DOTALL)


def texts_of_the_source() -> str:
    """All string literals of the package, with placeholders left out."""
    texts = []
    for path in [*(ROOT / "recbole_sda").rglob("*.py"), *(ROOT / "dataset_prep").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_messages_of_the_troubleshooting_page_exist():
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    messages = [
        cell for line in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for cell in re.findall(r"`([^`]+)`", line)
    ]
    source = texts_of_the_source()
    assert len(messages) > 35
    for message in messages:
        parts = [part.strip("' ") for part in re.split(r"\.\.\.|'", message) if len(part.strip("' ")) > 2]
        assert message.startswith(FOREIGN) or all(part in source for part in parts), message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model", "encoder", "loss"])
def test_a_change_of_the_contributing_guide_passes_its_contract(name, tmp_path):
    changes = {change: rest for change, *rest in CHANGE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))}
    diff, command = changes[name]
    skip = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__", "runs", "dataset")
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=skip)
    done = subprocess.run(["git", "apply", "--recount", "-"], input=diff, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "-v"], cwd=copy, env=environment, capture_output=True, text=True
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0 and passed and int(passed[1]) >= 4, done.stdout[-3000:]


def test_versions_agree():
    version = recbole_sda.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"version = {{{version}}}" in (ROOT / "docs/citing.md").read_text()
    assert f"version {version} " in (ROOT / "docs/get_started.md").read_text()


def test_the_changelog_has_the_form_of_keep_a_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert versions[0].startswith((f"[{recbole_sda.__version__}] - ", "[Unreleased]"))
    for heading in versions:
        assert re.fullmatch(r"\[(\d+\.\d+\.\d+\] - (unreleased|\d{4}-\d\d-\d\d)|Unreleased\])", heading), heading
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds and kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_each_extra_is_explained():
    page = (ROOT / "docs/get_started.md").read_text(encoding="utf-8")
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    extras = re.findall(
        r"^([\w-]+) =$", setup.partition("[options.extras_require]")[2].partition("\n[")[0], re.MULTILINE
    )
    assert len(extras) >= 6 and all(f"| `[{extra}]` |" in page for extra in extras), extras


@pytest.mark.slow
@pytest.mark.network
def test_the_distribution_passes_twine(tmp_path):
    pytest.importorskip("build"), pytest.importorskip("twine")
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    files = sorted(tmp_path.iterdir())
    assert [path.suffix for path in files] == [".whl", ".gz"] or [path.suffix for path in files] == [".gz", ".whl"]
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
