"""The result of a run: what its ``metrics.json`` holds."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.engine.collector import Ranking
from recbole_sda.engine.fallback_choice import read_choice
from recbole_sda.engine.list_report import ListData, list_report
from recbole_sda.engine.rank_files import RANKS, group_metrics, write_ranks
from recbole_sda.engine.run import Run, settings_of
from recbole_sda.engine.run_folder import write_metrics
from recbole_sda.engine.summary import NO_SELECTION, protocol
from recbole_sda.engine.train_log import read_history
from recbole_sda.engine.training_checks import training_warnings
from recbole_sda.features.manifest import library_versions
from recbole_sda.machine import torchrun
from recbole_sda.machine.memory import peak
from recbole_sda.model.ensemble.model import Ensemble

Rankings = Dict[str, Optional[Ranking]]  # by phase


def make_result(
    run: Run,
    valid_result: Optional[Dict[str, float]],
    test_result: Dict[str, float],
    rankings: Rankings,
    lists: Optional[ListData] = None,
) -> Dict[str, Any]:
    """Return the content of ``metrics.json``, without the times.

    Args:
        run: the run.
        valid_result, test_result: metrics by name; None without validation data.
        rankings: ranking of each evaluated phase.
        lists: what the key ``list_metrics`` needs, from :func:`recbole_sda.engine.list_report.list_data`.
    """
    config, model = run.config, run.model
    best_epoch, epochs_run = run.trainer.best_epoch + 1, len(_epochs(run.run_dir))
    n_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    warnings = training_warnings(
        rankings.get("valid"),
        best_epoch,
        stopped=epochs_run < settings_of(run.run_dir)["epochs"],
        learns=n_parameters > 1,  # RecBole gives untrained models one parameter
        full_sort=config["eval_args"]["mode"]["valid"] == "full",
    )
    choice = read_choice(run.run_dir)
    if choice is not None and choice.kept == "base":
        warnings.append(str(choice))
    fallback = {} if choice is None else {"fallback": {k: v for k, v in asdict(choice).items() if k != "carried_out"}}
    ensemble = {"ensemble": model.record} if isinstance(model, Ensemble) else {}
    list_values = {"lists": list_report(run, lists, rankings)} if lists is not None else {}
    return {
        "model": config["model"],
        "dataset": config["dataset"],
        "miniature": config["dataset"].endswith(SAMPLE_SUFFIX),
        "protocol": protocol(config, run.data.dataset.item_num - 1, _selection(run.run_dir), run.data.history),
        "split": run.data.split,
        "valid": None if valid_result is None else {k: float(v) for k, v in valid_result.items()},
        "test": {k: float(v) for k, v in test_result.items()},
        "groups": {
            phase: group_metrics(ranking, run.data.counts, config, phase)
            for phase, ranking in rankings.items()
            if ranking is not None
        },
        "best_epoch": best_epoch,
        "epochs_run": epochs_run,
        "warnings": warnings,
        "training_batches": getattr(run.data.train, "kind", "as RecBole's"),
        "parameters": n_parameters,
        "peak_memory_gib": peak(config["device"]),
        "features": getattr(model, "feature_record", None),
        **fallback,
        **ensemble,
        **list_values,
        "inputs": run.data.inputs,
        "environment": environment(config["device"]),
        "run_dir": str(run.run_dir),
    }


def _epochs(run_dir: Path) -> List[Dict[str, Any]]:
    """Return the history's line of each trained epoch."""
    return [line for line in read_history(run_dir) if line["phase"] == "train"]


def _selection(run_dir: Path) -> str:
    """Return what selected the epoch of a run: the metric that it was trained with, also if it is evaluated by others now."""
    if not any(line["phase"] == "valid" for line in read_history(run_dir)):
        return NO_SELECTION
    return f"{settings_of(run_dir)['valid_metric']} on validation data"


def environment(device: Any) -> Dict[str, str]:
    """Return versions of libraries, the device, and the numbers of threads and processes."""
    versions = library_versions("torch", "numpy", "scipy", "pandas", "recbole")
    name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"
    processes = str(torchrun.world_size())
    return {**versions, "device": name, "threads": str(torch.get_num_threads()), "processes": processes}


def write_rankings(run: Run, rankings: Rankings, folder: Path) -> None:
    """Write the file of ranks of each evaluated phase into a folder."""
    for phase, ranking in rankings.items():
        if ranking is not None:
            path = folder / RANKS.format(phase=phase)
            write_ranks(path, ranking, run.data.counts, run.config, run.data.dataset)


def write_result(run: Run, result: Dict[str, Any], rankings: Rankings, seconds: float) -> None:
    """Write ``metrics.json``, with the times of training and evaluation, and the files of ranks.

    Args:
        run: the run.
        result: content from :func:`make_result`; its ``seconds`` are added in place.
        rankings: ranking of each evaluated phase.
        seconds: time of the test evaluation.
    """
    result["seconds"] = {
        "training": round(sum(line["seconds"] for line in _epochs(run.run_dir)), 2),
        "training_and_validation_since_start": result.pop("seconds_since_start", None),
        "test_evaluation": round(seconds, 2),
    }
    if torchrun.is_main():
        write_rankings(run, rankings, run.run_dir)
        write_metrics(run.run_dir, result)
