"""Log of a training: ``history.jsonl`` in the run folder, one line per epoch for people, names for TensorBoard."""

import json
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union

from recbole_sda.io.atomic_write import append_line, write_lines
from recbole_sda.io.json import plain_numbers, read_json_lines
from recbole_sda.io.schema import COUNT, MAYBE_NAN, NUMBER, check_shape

HISTORY = "history.jsonl"
LINE = {"epoch": COUNT, "phase": str}
Losses = Union[float, Tuple[float, ...]]  # sums over the batches of an epoch: of the loss, or of each of its terms


def read_history(run_dir: Union[str, Path]) -> List[Dict[str, Any]]:
    """Return the lines of a run's history, oldest first; an empty list for models without training epochs.

    A last line that a crash cut short is left out. A damaged line, or one without an entry that every line has, is an InputError.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> append_history(folder.name, {"epoch": 0, "phase": "train", "seconds": 1.5, "loss": {"recommendation": 3.5}})
        >>> read_history(folder.name)
        [{'epoch': 0, 'phase': 'train', 'seconds': 1.5, 'loss': {'recommendation': 3.5}}]
        >>> folder.cleanup()
    """
    path = Path(run_dir) / HISTORY
    lines = read_json_lines(path, LINE, missing_numbers=True)
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        if line["phase"] == "train":
            check_shape(line, {"seconds": NUMBER, "loss?": {str: NUMBER}}, where)
        check_shape(
            {key: value for key, value in line.items() if key not in ("phase", "loss")}, {str: MAYBE_NAN}, where
        )
    return lines


def append_history(run_dir: Union[str, Path], line: Dict[str, Any]) -> None:
    """Append a line to a run's history; infinite numbers, which it could not be read with, become NaN."""
    append_line(Path(run_dir) / HISTORY, json.dumps(plain_numbers(line, float("nan"))))


def truncate_history(run_dir: Union[str, Path], n_epochs: int) -> None:
    """Remove the lines of all epochs but the first ``n_epochs``: those of an interrupted epoch, before it is trained again."""
    lines = [json.dumps(line) + "\n" for line in read_history(run_dir) if line["epoch"] < n_epochs]
    write_lines(Path(run_dir) / HISTORY, lines)


def mean_losses(losses: Losses, names: Sequence[str], n_batches: int) -> Dict[str, float]:
    """Return the mean over an epoch's batches of each term of the loss, with the term's weight included, by name.

    Args:
        losses: sums over the batches, as RecBole's ``_train_epoch`` returns them.
        names: names of the terms, as the model's ``loss_names``. With another number of terms the only term is
            ``recommendation``, several are ``loss_1``, ``loss_2`` and so on.
        n_batches: number of batches of the epoch.
    """
    sums = list(losses) if isinstance(losses, tuple) else [losses]
    if len(names) != len(sums):
        names = ["recommendation"] if len(sums) == 1 else [f"loss_{k + 1}" for k in range(len(sums))]
    return {name: float(value) / max(n_batches, 1) for name, value in zip(names, sums)}


def epoch_line(epoch: int, seconds: float, losses: Dict[str, float], diagnostics: Dict[str, float]) -> str:
    """Return the line of the log about an epoch's training.

    Args:
        epoch: number of the epoch, from 0; shown from 1.
        seconds: time that the training of the epoch took.
        losses: see :func:`mean_losses`.
        diagnostics: what the model reports about the epoch. ``cmsa/target_entropy``, in nats, is shown if it is there.
    """
    terms = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
    entropy = diagnostics.get("cmsa/target_entropy")
    tail = "" if entropy is None else f", target entropy {entropy:.2f}"
    return f"epoch {epoch + 1}: {seconds:.1f}s | loss: {terms}{tail}"
