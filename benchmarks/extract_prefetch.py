"""Images per second of ``lvlm extract`` with images prepared by the encoding process itself and by worker processes.

    python benchmarks/extract_prefetch.py --images=300 --side=1200 --workers 0 1 2 --rounds=3

Photos are invented and saved as JPEG, the model is a tiny random one. The encoder has one CPU thread, so that on
two cores a worker has the other one. With --device-ms=20 no model computes.
Each round takes all settings in turn; the median of the rounds is printed.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch
from PIL import Image

from recbole_sda.lvlm import extraction
from recbole_sda.lvlm.extraction import Extractor
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny


def write_catalogue(folder: Path, n_images: int, side: int) -> Path:
    """Write invented photos and their items file; return its path."""
    rng = np.random.default_rng(0)
    lines = []
    for k in range(n_images):
        small = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{k}.jpg", quality=90)
        lines.append(json.dumps({"item_id": f"i{k}", "image": f"{k}.jpg", "title": ""}))
    path = folder / "items.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _wait(milliseconds: float, dim: int, adapted: Any, batch: Dict[str, torch.Tensor], *_: Any) -> torch.Tensor:
    n = len(batch["input_ids"])
    time.sleep(n * milliseconds / 1000)
    return torch.zeros(n, dim)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--side", type=int, default=1200, help="pixels of a photo's side")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--family", default="qwen2_5_vl")
    parser.add_argument(
        "--device-ms", type=float, help="the model is replaced by a wait of so long per image, as for another device"
    )
    args = parser.parse_args()
    if args.device_ms is not None:
        extraction.encode = lambda backbone, *rest: _wait(args.device_ms, backbone.dim, *rest)
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    seconds: Dict[int, List[float]] = {n: [] for n in args.workers}
    with tempfile.TemporaryDirectory() as name:
        items, model = write_catalogue(Path(name), args.images, args.side), make_tiny(args.family, Path(name) / "model")
        keys = {"backbone": str(model), "items": str(items), "dtype": "float32", "token_budget": 2048, "threads": 1}
        extractors = {n: Extractor(read_settings((), {**keys, "workers": n})) for n in args.workers}
        for _ in range(args.rounds):
            for n, extractor in extractors.items():
                start = time.perf_counter()
                extractor.encode(extractor.plan.modalities["image"].shards, lambda shard, vectors: None)
                seconds[n].append(time.perf_counter() - start)
    first = statistics.median(seconds[args.workers[0]])
    print("| Workers | Images per second | Ratio |\n| --- | --- | --- |")
    for n, taken in seconds.items():
        median = statistics.median(taken)
        print(f"| {n} | {args.images / median:.1f} | {first / median:.2f} |")


if __name__ == "__main__":
    main()
