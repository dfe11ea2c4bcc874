"""The Dockerfile: what it copies exists and reaches the build, it runs without rights, and the linter has nothing to say."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def instructions() -> list:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    return [line.split(None, 1) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]


def test_what_is_copied_reaches_the_build():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for word, rest in instructions() if word == "COPY" for name in rest.split()[:-1]}
    assert copied == allowed and all((ROOT / name).exists() for name in copied)
    packages = {"recbole_sda", "dataset_prep", "properties"}  # setup.cfg: packages, package_dir
    assert packages | {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"} == copied


def test_it_serves_without_rights_and_is_checked():
    found = {word: rest.strip() for word, rest in instructions()}
    assert found["USER"].isdigit() and int(found["USER"]) > 0
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(k for k, word in enumerate(words) if word == "RUN")
    assert "/health" in found["HEALTHCHECK"] and "8000" in found["HEALTHCHECK"]
    command = json.loads(found["ENTRYPOINT"])
    assert command[:4] == ["python", "-m", "recbole_sda", "serve"] and command[4:] == ["--host=0.0.0.0", "--port=8000"]


def test_the_linter_has_nothing_to_say():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "", done.stdout
