"""Tiny random models and a catalogue of pictures for the tests of the LVLM stage."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny

COLOURS = {"red": (200, 20, 20), "green": (20, 180, 20), "blue": (20, 20, 200), "grey": (120, 120, 120)}
THINGS = ("drum", "flute", "violin", "horn", "harp")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A function: family -> folder of its tiny model, made once."""
    root = tmp_path_factory.mktemp("tiny")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else make_tiny(family, path)

    return folder


@pytest.fixture(scope="session")
def backbone(tiny):
    """A function: family -> a new backbone in float32."""

    def load(family: str, **keys):
        return load_backbone(read_settings((), {"backbone": str(tiny(family)), "dtype": "float32", **keys}))

    return load


@pytest.fixture(scope="session")
def catalogue_file(tmp_path_factory) -> Path:
    """40 items of four colours and five things; 36 with a picture, all with a title, two titles the same."""
    folder = tmp_path_factory.mktemp("catalogue")
    rng = np.random.default_rng(0)
    lines = []
    for k in range(40):
        colour, thing = list(COLOURS)[k % 4], THINGS[k % 5]
        image = None
        if k < 36:
            image = f"p{k}.png"
            values = np.full((24 + k, 30, 3), COLOURS[colour]) + rng.integers(-20, 20, (24 + k, 30, 3))
            Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(folder / image)
        title = f"{colour} {thing}" + " new" * (k // 20) * (k % 7)
        lines.append({"item_id": f"i{k}", "title": title, "image": image})
    path = folder / "items.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="session")
def stage(tiny, catalogue_file):
    """A function: settings of a short run of the stage on the catalogue."""

    def settings(family: str = "qwen2_5_vl", **keys):
        short = {"dtype": "float32", "steps": 4, "eval_every": 2, "batch_size": 8, "held_out": 0.2, "workers": 0}
        given = {"backbone": str(tiny(family)), "items": str(catalogue_file), "learning_rate": 5e-3, **short, **keys}
        return read_settings((), given)

    return settings


@pytest.fixture(scope="session")
def random_adapter(backbone):
    """A function: writes an adapter of a method with an effect on Qwen2.5-VL's vectors to a folder."""

    def write(method: str, folder) -> Path:
        torch.manual_seed(2)
        b = backbone("qwen2_5_vl")
        adapted = adapters.attach(b.model, b.adapter_targets(), read_settings((), {"method": method}))
        for name, p in adapted.named_parameters():
            if p.requires_grad and "_B" in name:
                torch.nn.init.normal_(p, std=0.05)
        adapters.save(adapted, folder)
        return Path(folder)

    return write


TWO_PROCESSES = """
import sys, json, torch
torch.set_num_threads(1)
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.settings import read_settings
for run, keys, out in zip((run_adaptation, run_extraction), json.loads(sys.argv[1]), sys.argv[2:]):
    run(read_settings((), keys), out)
"""


@pytest.fixture(scope="session")
def two_processes(stage, tmp_path_factory):
    """An adaptation and an extraction in the same two processes, which import the libraries once: settings and folders."""
    folder = tmp_path_factory.mktemp("two-processes")
    done = SimpleNamespace(
        adaptation=stage(dropout=0.0, device="cpu"),
        adapted=folder / "adapted",
        extraction=stage(shard_items=5, store_dtype="float32", device="cpu"),
        extracted=folder / "extracted",
    )
    script = folder / "run.py"
    script.write_text(TWO_PROCESSES)
    keys = [{k: v for k, v in s.plain().items() if v is not None} for s in (done.adaptation, done.extraction)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    arguments = [json.dumps(keys), str(done.adapted), str(done.extracted)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return done
