"""SASRec in three libraries under one protocol: this package, RecBole's own classes, and RecTools.

Each library trains in a process of its own. The processes take turns, one epoch with its evaluation at a time, so that other
load on the machine slows all of them. The split is leave-one-out in time order. Each library ranks all items that the user does
not have; its list of the 11 best items and their scores is judged by one function: Hit@10 and NDCG@10, items of equal score
before the target. Training ends after ``--patience`` evaluations without a better NDCG@10 on validation data. The test uses the
weights of the best epoch.

Width, blocks, heads, dropout, inner width (the width), activation (ReLU), maximum length, learning rate, seed and loss (cross
entropy over all items) are the same. Everything else is each library's own, such as initial weights and the place of the layer
norm. ``--train_batch_size`` counts targets in this package and in RecBole. RecTools counts sequences, each with several targets:
it gets the number of sequences with as many targets on average. RecBole trains without autograd's anomaly detection, which its
import turns on and which slows it; ``--detect_anomaly=True`` leaves it on. RecTools ranks the items of the training part alone.

    python benchmarks/peers.py --data_path=data --dataset=Amazon_Instruments --rectools=DIR [--out=FILE.json] [--key=value ...]

The keys are those of ``DEFAULTS``. RecTools is no dependency; ``INSTALL`` in ``peer_libraries.py`` puts it into a folder DIR.
"""

import json
import multiprocessing
import resource
import shlex
import sys
import time
from importlib import metadata
from pathlib import Path
from statistics import median

import numpy as np
from options import check_names, check_none_left
from peer_libraries import LIBRARIES
from peer_protocol import HELD_OUT, TOPK, judge, read_split

import recbole_sda
from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.errors import InputError

DEFAULTS = {
    "data_path": "dataset", "rectools": None, "out": None, "libraries": list(LIBRARIES),
    "epochs": 12, "patience": 3, "seed": 1, "threads": 1, "detect_anomaly": False,
    "hidden_size": 64, "n_layers": 2, "n_heads": 2, "dropout": 0.2, "MAX_ITEM_LIST_LENGTH": 20,
    "learning_rate": 1e-3, "warmup_epochs": 0, "train_batch_size": 512,
}  # fmt: skip
PACKAGES = {
    "recbole_sda": ["recbole", "torch"],
    "RecBole": ["recbole", "torch"],
    "RecTools": ["rectools", "pytorch-lightning", "torch"],
}


def work(name: str, options: dict, connection) -> None:
    """Train and test one library; wait for a turn before each epoch and before the test."""
    try:
        _work(name, options, connection)
    except InputError as error:
        connection.send({"error": str(error)})


def _work(name: str, options: dict, connection) -> None:
    import torch

    torch.set_num_threads(options["threads"])
    split = read_split(Path(options["data_path"]) / options["dataset"] / f"{options['dataset']}.inter")
    peer = LIBRARIES[name](split, options)
    connection.send({"ready": name})
    epochs, evaluations, best = [], [], {"epoch": 0, f"ndcg@{TOPK}": -1.0}
    while len(epochs) < options["epochs"] and len(epochs) - best["epoch"] < options["patience"]:
        connection.recv()
        epochs.append(peer.epoch())
        started = time.perf_counter()
        lists = peer.lists("valid")
        evaluations.append(time.perf_counter() - started)
        metrics = {"epoch": len(epochs), **judge(split, "valid", *lists)}
        if metrics[f"ndcg@{TOPK}"] > best[f"ndcg@{TOPK}"]:
            best, weights = metrics, {key: value.clone() for key, value in peer.model.state_dict().items()}
        connection.send({**metrics, "seconds": epochs[-1], "evaluation_seconds": evaluations[-1]})
    connection.recv()
    peer.model.load_state_dict(weights)
    trained, targets = split.item[split.from_end > HELD_OUT["valid"]], split.targets("test")
    result = {
        "test": judge(split, "test", *peer.lists("test")),
        "validation": best,
        "epochs": len(epochs),
        "epoch_seconds": epochs,
        "evaluation_seconds": evaluations,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "batch": peer.batch,
        "steps_per_epoch": peer.steps,
        "parameters": sum(weight.numel() for weight in peer.model.parameters()),
        "users": len(split.users),
        "items": len(split.items),
        "test_targets_not_in_training": int((~np.isin(targets, trained)).sum()),
        "versions": _versions(name),
    }
    connection.send({"result": result})


def _versions(name: str) -> dict:
    """Return the versions of a library and of what it runs on."""
    own = {"recbole_sda": recbole_sda.__version__} if name == "recbole_sda" else {}
    return own | {package: metadata.version(package) for package in PACKAGES[name]}


def take_turns(options: dict) -> dict:
    """Run all libraries, an epoch each in turn, and return the result of each."""
    context, peers, results = multiprocessing.get_context("spawn"), {}, {}

    def answer(name: str) -> dict:
        try:
            message = peers[name].recv()
        except EOFError:
            raise InputError(f"{name} ended early; its own message is above") from None
        if "error" in message:
            raise InputError(f"{name}: {message['error']}")
        print(name, json.dumps(message), file=sys.stderr, flush=True)
        return message

    for name in options["libraries"]:
        peers[name], theirs = context.Pipe()
        context.Process(target=work, args=(name, options, theirs), daemon=True).start()
        theirs.close()
        answer(name)
    while len(results) < len(peers):
        for name in [name for name in peers if name not in results]:
            peers[name].send("go on")
            message = answer(name)
            if "result" in message:
                results[name] = message["result"]
    return with_medians({name: results[name] for name in peers})


def with_medians(results: dict) -> dict:
    """Add the median seconds over the rounds in which all libraries trained, because other load changes from round to round."""
    shared = min(result["epochs"] for result in results.values())
    for result in results.values():
        result["seconds_per_epoch"] = median(result["epoch_seconds"][:shared])
        result["seconds_per_evaluation"] = median(result["evaluation_seconds"][:shared])
    return results


def table(results: dict) -> str:
    """Return the results as a Markdown table."""
    metrics = f"test Hit@{TOPK} | test NDCG@{TOPK}"
    costs = "s per epoch | s per evaluation | peak, MiB"
    lines = [f"| library | {metrics} | best epoch | {costs} | batch | versions |", "|" + " --- |" * 9]
    for name, result in results.items():
        metrics = f"{result['test'][f'hit@{TOPK}']:.4f} | {result['test'][f'ndcg@{TOPK}']:.4f}"
        epoch = f"{result['validation']['epoch']} of {result['epochs']}"
        costs = f"{result['seconds_per_epoch']:.1f} | {result['seconds_per_evaluation']:.1f} | {result['peak_mib']:.0f}"
        versions = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
        lines.append(f"| {name} | {metrics} | {epoch} | {costs} | {result['batch']} | {versions} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, run the libraries, print the table and write or print the figures as JSON."""
    given = parse(sys.argv[1:])
    check_none_left({key: value for key, value in given.keys.items() if key not in DEFAULTS}, DEFAULTS)
    if not given.dataset:
        raise InputError("--dataset is missing")
    options = {**DEFAULTS, **given.keys, "dataset": given.dataset}
    check_names("libraries", options["libraries"], LIBRARIES)
    results = take_turns(options)
    print(table(results))
    text = json.dumps(
        {"command": shlex.join(["python", *sys.argv]), "options": options, "libraries": results}, indent=2
    )
    if options["out"]:
        Path(options["out"]).write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    sys.exit(run_command(main))
