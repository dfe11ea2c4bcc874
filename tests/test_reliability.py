"""Commands in processes of their own that are killed at random times, or that write to a disk that becomes full.

The figures in docs/reliability.md come from here: ``python -m pytest tests/test_reliability.py -m slow -s`` prints a line for each.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from recbole_sda.data.miniature.generate import generate
from recbole_sda.features.store import FeatureStore

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PACKAGE, RUN, PREPARE = ["-m", "recbole_sda"], [str(ROOT / "run_recbole_sda.py")], ["-m", "dataset_prep"]
CPU = ["--threads=1", "--use_gpu=False"]
NAMES = ["run", "general", "compare", "tune", "adapt", "lvlm_extract", "extract", "import", "export_adapter", "table", "ensemble",
         "export", "recommend"]  # fmt: skip
SIZES = (4, 16, 64, 256, 1024, 4096)  # KiB
SECONDS = 1200  # for a command, on a machine with other work
KILLS = int(os.environ.get("RECBOLE_SDA_KILLS", 4))


class Made(NamedTuple):
    """What the commands read."""

    items: Path  # of a miniature
    folder: Path  # with runs, a tiny backbone, an adapter, vectors and a plan


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """Small inputs of all commands."""
    folder = tmp_path_factory.mktemp("made")
    items = generate("Amazon_Sports", tmp_path_factory.mktemp("data"))[1]
    ids = [json.loads(line)["item_id"] for line in items.read_text().splitlines()]
    (folder / "few.jsonl").write_text(
        "".join(_with_whole_paths(line, items.parent) for line in items.open().readlines()[:40])
    )
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(len(ids), 64)).astype(np.float32))
    (folder / "ids.txt").write_text("".join(f"{name}\n" for name in ids))
    plan = {
        "datasets": [items.parent.name],
        "seeds": [1],
        "models": {"BPR": None, "SASRec": None},
        "keys": {"epochs": 2},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump({**plan, "metrics": ["hit@10"]}))
    (folder / "space.yaml").write_text("space: {learning_rate: {choice: [0.01, 0.001]}}\nsamples: grid\n")
    for model, epochs in (("SASRec", 1), ("BPR", 1)):
        _made([*RUN, f"--model={model}", f"--run_dir={folder / model}", *_data(items), f"--epochs={epochs}"])
    _made([*PACKAGE, "lvlm", "tiny", "--family=qwen2_5_vl", f"--out={folder / 'backbone'}"])
    made = Made(items, folder)
    _made(commands(made, folder / "adapter")["adapt"][0])
    return made


def _with_whole_paths(line: str, folder: Path) -> str:
    item = json.loads(line)
    return json.dumps({**item, "image": item["image"] and str(folder / item["image"])}) + "\n"


def _made(command: List[str]) -> None:
    status, text = ended(command)
    assert status == 0, text


def _data(items: Path) -> List[str]:
    return [f"--data_path={items.parent.parent}", f"--dataset={items.parent.name}", *CPU]


def commands(made: Made, out: Path) -> Dict[str, Tuple[List[str], Optional[List[str]]]]:
    """By name: the command that makes ``out``, and, where another one may go on, that one."""
    items, folder = made.items, made.items.parent
    resumed = [*RUN, f"--resume={out}"]
    few = [
        f"--backbone={made.folder / 'backbone'}",
        f"--items={made.folder / 'few.jsonl'}",
        "--threads=1",
        "--workers=0",
    ]
    adapt = [*few, "--steps=6", "--eval_every=2", "--batch_size=4", "--held_out=0.2"]
    table = ["--inter", str(folder / f"{folder.name}.inter"), "--user-col", "user_id", "--item-col", "item_id"]
    images = ["--items", str(items), "--image-col", "image", "--images", str(folder), "--max-pixels", "200"]
    plan, sasrec, bpr = (str(made.folder / name) for name in ("plan.yaml", "SASRec", "BPR"))
    search = [f"--tune={made.folder / 'space.yaml'}", f"--out={out}", "--epochs=1", "--model=BPR"]
    return {
        "run": ([*RUN, "--model=SASRec", f"--run_dir={out}", *_data(items), "--epochs=4"], resumed),
        "general": ([*RUN, "--model=BPR", f"--run_dir={out}", *_data(items), "--epochs=20"], resumed),
        "compare": ([*PACKAGE, "compare", plan, "--out", str(out), f"--data_path={folder.parent}", *CPU], None),
        "tune": ([*RUN, *search, *_data(items)], None),
        "adapt": ([*PACKAGE, "lvlm", "adapt", f"--out={out}", *adapt], [*PACKAGE, "lvlm", "adapt", f"--resume={out}"]),
        "lvlm_extract": ([*PACKAGE, "lvlm", "extract", f"--out={out}", *few, "--shard_items=8", "--overwrite=True"], None),
        "extract": ([*PACKAGE, "features", "extract", "--items", str(items), "--out", str(out), "--overwrite"], None),
        "import": ([*PACKAGE, "features", "import", "--npy", f"image={made.folder / 'x.npy'}", "--ids",
                    str(made.folder / "ids.txt"), "--out", str(out), "--overwrite"], None),
        "export_adapter": ([*PACKAGE, "lvlm", "export", f"--adapter={made.folder / 'adapter'}", f"--out={out}",
                            "--overwrite=True"], None),
        "table": ([*PREPARE, "table", "--name", out.name, "--out", str(out.parent), *table, *images], None),
        "ensemble": ([*PACKAGE, "ensemble", sasrec, bpr, "knn:cooccurrence", "--out", str(out), "--threads=1"], resumed),
        "export": ([*PACKAGE, "export", sasrec, "--out", str(out), "--users", "all"], None),
        "recommend": ([*PACKAGE, "recommend", sasrec, "--out", f"{out}.csv"], None),
    }  # fmt: skip


def outcome(name: str, out: Path) -> Any:
    """Return what a command has made, in a form that is equal where the results are."""
    if name in ("run", "general", "ensemble"):
        metrics = json.loads((out / "metrics.json").read_text())
        return (
            metrics["test"],
            metrics["valid"],
            metrics["epochs_run"],
            len((out / "history.jsonl").read_text().splitlines()),
        )
    if name == "compare":
        return [(row["row"], row["metrics"]) for row in json.loads((out / "comparison.json").read_text())["rows"]]
    if name == "tune":
        search = json.loads((out / "search.json").read_text())
        return search["best"]["settings"], [trial["error"] for trial in search["trials"]]
    if name == "adapt":
        history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
        adapter = load_file(out / "adapter" / "adapter_model.safetensors")
        return [line["step"] for line in history], {key: value.tolist() for key, value in adapter.items()}
    if name in ("extract", "import", "lvlm_extract"):
        store = FeatureStore(out)
        return store.item_ids, {key: store.matrix(key).tolist() for key in store.modalities}
    if name == "recommend":
        return out.with_name(f"{out.name}.csv").read_bytes()
    files = sorted(
        path
        for path in out.rglob("*")
        if path.is_file() and path.suffix in (".npy", ".txt", ".inter", ".jsonl", ".png")
    )
    return [(str(path.relative_to(out)).replace(out.name, "OUT"), path.read_bytes()) for path in files]


def start(command, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
        **options,
    )


def ended(command):
    """Run a command; return its exit status and what it printed."""
    process = start(command)
    text, _ = process.communicate(timeout=SECONDS)
    return process.returncode, text


def goes_on(name: str, made: Made, out: Path) -> str:
    """Start a command again; return whether it ended well, or the one that it named."""
    command, more = commands(made, out)[name]
    status, text = ended(command)
    if status == 0:
        return "same"
    assert more and status == 2 and f"--resume={out}" in text, f"exit status {status}: {text}"
    status, text = ended(more)
    assert status == 0, text
    return "named"


def times(command: List[str], folder: Path) -> Tuple[float, float]:
    """Run a command; return the seconds until something appeared in an empty folder, and until its end."""
    begun = time.monotonic()
    process = start(command)
    first = _wait_for_content(process, folder) - begun
    text, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, text
    return first, time.monotonic() - begun


def kill_after(command: List[str], folder: Path, seconds: float) -> bool:
    """Kill a command some seconds after something appeared in an empty folder; return whether it was still running."""
    process = start(command)
    _wait_for_content(process, folder)
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True


def _wait_for_content(process: subprocess.Popen, folder: Path) -> float:
    """Return the time when a command that is running has made something in an empty folder, or has ended."""
    while process.poll() is None and not os.listdir(folder):
        time.sleep(0.005)
    return time.monotonic()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_commands_go_on(name, made, tmp_path):
    """The same command goes on, or names the one that does, to the result of a command that was not killed."""
    whole = tmp_path / "whole"
    whole.mkdir()
    begun, end = times(commands(made, whole / "out")[name][0], whole)
    expected = outcome(name, whole / "out")
    chance, killed, count = random.Random(7), 0, {"same": 0, "named": 0}
    for k in range(4 * KILLS):
        folder = tmp_path / f"kill{k}"
        folder.mkdir()
        if not kill_after(commands(made, folder / "out")[name][0], folder, chance.uniform(0, end - begun)):
            continue  # it was faster this time
        count[goes_on(name, made, folder / "out")] += 1
        assert outcome(name, folder / "out") == expected
        killed += 1
        if killed == KILLS:
            break
    print(
        f"\n{name}: {killed} killed, {count['same']} went on by the same command, {count['named']} by the command that it named"
    )


@pytest.fixture
def small_disk(tmp_path):
    """A function: size in KiB -> a file system of that size; skips where none can be mounted."""
    mounted = []

    def mount(kib: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        options = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder]
        if subprocess.run(options, capture_output=True).returncode:
            pytest.skip("file systems cannot be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_one_line_and_the_command_goes_on(name, made, tmp_path, small_disk):
    """The line names the path. With space on the disk, the command goes on as after a kill."""
    (tmp_path / "whole").mkdir()
    assert ended(commands(made, tmp_path / "whole" / "out")[name][0])[0] == 0
    expected = outcome(name, tmp_path / "whole" / "out")
    count = {"full": 0, "same": 0, "named": 0}
    for kib in SIZES:
        disk = small_disk(kib)
        status, text = ended(commands(made, disk / "out")[name][0])
        assert "Traceback" not in text, text
        if status == 0:
            break  # larger disks have space too
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        last = text[text.index("error: ") :]  # of a comparison: a line for each run
        assert status == 2 and len(errors) == 1 and re.search(f"{disk}.*: No space left", last), text
        count["full"] += 1
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        count[goes_on(name, made, disk / "out")] += 1
        assert outcome(name, disk / "out") == expected
    print(f"\n{name}: {count['full']} full disks, each one line; {count['same']} went on by the same command, "
          f"{count['named']} by the command that it named")  # fmt: skip
    assert count["full"]
