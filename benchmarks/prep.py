"""Time and memory of preparing a large release, on generated review and metadata files like those of Amazon 2018.

python benchmarks/prep.py --reviews=10000000 --users=3000000 --items=500000
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = "the a great good drum flute red blue loud quiet works fine returned bought for my son daughter price".split()


def generate(folder: Path, n: int, users: int, items: int) -> None:
    """Write reviews whose users and items follow power laws, about 500 bytes each, and metadata of every item."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 60)) for _ in range(200)]
    with gzip.open(folder / "reviews.json.gz", "wt", compresslevel=1) as file:
        for start in range(0, n, 100_000):
            size = min(100_000, n - start)
            user = (users * rng.random(size) ** 2.5).astype(int).tolist()
            item = (items * rng.random(size) ** 2.5).astype(int).tolist()
            stamp = rng.integers(1_000_000_000, 1_500_000_000, size).tolist()
            for k in range(size):
                review = {"overall": 1.0 + (k % 5), "verified": True, "reviewerID": f"A{user[k]:013d}"}
                review |= {"asin": f"B{item[k]:09d}", "reviewText": texts[k % 200], "unixReviewTime": stamp[k]}
                file.write(json.dumps(review) + "\n")
    with gzip.open(folder / "meta.json.gz", "wt", compresslevel=1) as file:
        for k in range(items):
            record = {
                "asin": f"B{k:09d}",
                "title": texts[k % 200][:60],
                "brand": "Acme",
                "category": ["Music", "Drums"],
            }
            file.write(json.dumps(record | {"price": "$9.50", "description": [texts[k % 200]]}) + "\n")


def main() -> None:
    """Generate the files, prepare them and print time and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=3_000_000)
    parser.add_argument("--items", type=int, default=500_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, args.reviews, args.users, args.items)
        size = (folder / "reviews.json.gz").stat().st_size
        print(f"{args.reviews:,} reviews, {size / 2**20:,.0f} MiB gzipped")
        command = [sys.executable, "-m", "dataset_prep", "amazon", "--category", "Generated", "--release", "2018"]
        command += ["--reviews", str(folder / "reviews.json.gz"), "--meta", str(folder / "meta.json.gz")]
        start = time.perf_counter()
        subprocess.run([*command, "--out", str(folder / "out"), "--no-images"], check=True)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"\n{seconds:.0f} s, {args.reviews / seconds:,.0f} reviews per second, peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
