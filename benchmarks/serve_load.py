"""Load of the service: requests per second, and the median and 99th percentile of their times.

Threads with a connection each send requests for known users, one after the other. The first few of each do not count.
Client and service share the machine.

    python -m recbole_sda serve runs/A &
    python benchmarks/serve_load.py --inter=dataset/NAME/NAME.inter [--url=http://127.0.0.1:8000] [--key=value ...]

The keys are those of ``DEFAULTS``: ``clients`` are numbers of threads, one line each; ``batch`` above 1 asks for a batch of users.
"""

import http.client
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import List
from urllib.parse import urlsplit

import numpy as np

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.experiments import keys_of
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_table import read_atomic

DEFAULTS = {
    "url": "http://127.0.0.1:8000", "inter": None, "seconds": 10.0, "clients": [1, 4, 16], "k": 10, "batch": 1, "seed": 0,
}  # fmt: skip
WARM_UP = 5  # requests of each thread before the measurement


def send(connection: http.client.HTTPConnection, users: List[str], k: int) -> float:
    """Send one request and return its time in seconds; an answer that is no success is an InputError."""
    path, body = ("/recommend", {"user": users[0]}) if len(users) == 1 else ("/recommend/batch", {"users": users})
    start = time.perf_counter()
    connection.request("POST", path, json.dumps({**body, "k": k}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - start
    if answer.status != 200:
        raise InputError(f"the service answered with status {answer.status}: {content[:200].decode(errors='replace')}")
    return seconds


def client(options: dict, users: List[str], seed: int) -> List[float]:
    """Send requests for the given time, and return the times of those after the warm-up."""
    draw = np.random.default_rng([options["seed"], seed])
    address = urlsplit(options["url"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)

    def one() -> float:
        return send(connection, [users[row] for row in draw.integers(len(users), size=options["batch"])], options["k"])

    for _ in range(WARM_UP):
        one()
    times, end = [], time.perf_counter() + options["seconds"]
    while time.perf_counter() < end:
        times.append(one())
    connection.close()
    return times


def measure(options: dict, users: List[str], n_clients: int) -> dict:
    """Return the figures of one number of clients."""
    with ThreadPoolExecutor(n_clients) as pool:
        parts = list(pool.map(lambda seed: client(options, users, seed), range(n_clients)))
    times = np.concatenate(parts) * 1000
    return {
        "clients": n_clients,
        "requests": len(times),
        "per_second": round(len(times) / options["seconds"], 1),
        "p50_ms": round(float(np.percentile(times, 50)), 1),
        "p99_ms": round(float(np.percentile(times, 99)), 1),
    }


def main() -> None:
    options = {**DEFAULTS, **keys_of(sys.argv[1:])}
    unknown = set(options) - set(DEFAULTS)
    if unknown or not options["inter"]:
        raise InputError(
            f"--{unknown.pop()}: no such key" if unknown else "--inter=FILE is needed: the interactions of the run"
        )
    users = read_atomic(options["inter"], "interaction file")["user_id"].unique().tolist()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, batch {options['batch']}, k {options['k']}")
    for n_clients in options["clients"]:
        print(json.dumps(measure(options, users, n_clients)), flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
