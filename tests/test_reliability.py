"""Commands in processes of their own that are killed at random times, or that write to a full disk.

The figures in docs/reliability.md come from here: ``python -m pytest tests/test_reliability.py -m slow -s`` prints a line for each.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recbole_sda.data.miniature.generate import generate

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PACKAGE, RUN, PREPARE = ["-m", "recbole_sda"], [str(ROOT / "run_recbole_sda.py")], ["-m", "dataset_prep"]


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> Path:
    """The items file of a miniature."""
    return generate("Amazon_Sports", tmp_path_factory.mktemp("data"))[1]


def commands(items: Path, out: Path) -> dict:
    """By name: the command that makes ``out``, and, where it is another one, the command that goes on."""
    folder = items.parent
    data = [f"--data_path={folder.parent}", f"--dataset={folder.name}", "--threads=1", "--epochs=4", "--use_gpu=False"]
    adapt = ["--backbone=tiny", f"--items={items}", "--steps=6", "--eval_every=2", "--batch_size=4", "--threads=1"]
    table = ["--inter", str(folder / f"{folder.name}.inter"), "--user-col", "user_id", "--item-col", "item_id"]
    images = ["--items", str(items), "--image-col", "image", "--images", str(folder)]
    return {
        "run": (RUN + ["--model=SASRec", f"--run_dir={out}", *data], RUN + [f"--resume={out}"]),
        "adapt": (PACKAGE + ["lvlm", "adapt", f"--out={out}", *adapt], PACKAGE + ["lvlm", "adapt", f"--resume={out}"]),
        "extract": (PACKAGE + ["features", "extract", "--items", str(items), "--out", str(out), "--overwrite"], None),
        "dataset_prep": (
            PREPARE + ["table", "--name", out.name, "--out", str(out.parent), *table, *images, "--max-pixels", "200"],
            None,
        ),
    }


def start(command, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        **options,
    )


def ended(command):
    """Run a command; return its exit status and what it printed."""
    process = start(command)
    text, _ = process.communicate(timeout=280)
    return process.returncode, text


def kill_after(command, seconds: float) -> bool:
    """Start a command and kill it; return whether it was still running."""
    process = start(command)
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "adapt", "extract", "dataset_prep"])
def test_killed_commands_go_on(name, items, tmp_path):
    """The same command goes on, or names the one that does."""
    backbone = tmp_path / "backbone"
    if name == "adapt":
        assert ended([*PACKAGE, "lvlm", "tiny", "--family=qwen2_5_vl", f"--out={backbone}"])[0] == 0

    def of(out: Path):
        command, more = commands(items, out)[name]
        return [word.replace("=tiny", f"={backbone}") for word in command], more

    begun = time.monotonic()
    status, text = ended(of(tmp_path / "whole")[0])
    whole = time.monotonic() - begun
    assert status == 0, text
    chance, killed, same, other = random.Random(7), 0, 0, 0
    for k in range(int(os.environ.get("RECBOLE_SDA_KILLS", 4))):
        command, more = of(tmp_path / f"out{k}")
        killed += kill_after(command, chance.uniform(0.3, 1.0) * whole)
        status, text = ended(command)
        if status == 0:
            same += 1
            continue
        assert more and "--resume=" in text, text
        status, text = ended(more)
        assert status == 0, text
        other += 1
    print(f"\n{name}: {killed} killed, {same} went on by the same command, {other} by the command that it named")


@pytest.fixture
def small_disk(tmp_path):
    """A function: size in KiB -> a file system of that size; skips where none can be mounted."""
    mounted = []

    def mount(kib: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], capture_output=True
        ).returncode:
            pytest.skip("file systems cannot be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
@pytest.mark.parametrize("name", ["run", "adapt", "extract", "dataset_prep"])
def test_a_full_disk_is_one_line_with_the_path(name, items, tmp_path, small_disk):
    backbone = tmp_path / "backbone"
    if name == "adapt":
        assert ended([*PACKAGE, "lvlm", "tiny", "--family=qwen2_5_vl", f"--out={backbone}"])[0] == 0
    lines = []
    for kib in (4, 16, 64, 256, 1024):
        disk = small_disk(kib)
        command = commands(items, disk / "out")[name][0]
        status, text = ended([word.replace("=tiny", f"={backbone}") for word in command])
        assert "Traceback" not in text, text
        if status == 0:
            continue
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        assert status == 2 and len(errors) == 1 and re.search(f"{disk}.*No space left", errors[0]), text
        lines.append(errors[0])
    print(f"\n{name}: {len(lines)} full disks, each one line")
    assert lines
