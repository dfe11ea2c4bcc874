"""The log of an adaptation: one JSON line per training step and evaluation, and TensorBoard curves."""

import json
from pathlib import Path
from typing import Dict, List, Optional, Union

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from recbole_sda.io.atomic_write import append_line, write_lines
from recbole_sda.io.json import read_json_lines
from recbole_sda.io.schema import COUNT
from recbole_sda.machine import torchrun
from recbole_sda.tracking.trackers import Trackers

LOG_FILE, TENSORBOARD = "history.jsonl", "tensorboard"
LINE = {"step": COUNT, "phase": str}


class TrainLog:
    """Writes the log. Only the main process writes; calls in other processes do nothing.

    Args:
        folder: folder for ``history.jsonl`` and ``tensorboard/``.

    Attributes:
        trackers: get the figures too.
    """

    def __init__(self, folder: Union[str, Path]):
        self.path = Path(folder) / LOG_FILE
        self.trackers = Trackers({})
        self.writer: Optional[SummaryWriter] = None
        if torchrun.is_main():
            self.writer = SummaryWriter(str(Path(folder) / TENSORBOARD))

    def add(self, step: int, phase: str, values: Dict[str, float]) -> None:
        """Add figures.

        Args:
            step: number of finished training steps.
            phase: ``train`` or ``evaluation``.
            values: figures by name.
        """
        if self.writer is None:
            return
        append_line(self.path, json.dumps({"step": step, "phase": phase, **values}))
        for name, value in values.items():
            self.writer.add_scalar(f"{phase}/{name}", value, step)
        self.writer.flush()
        self.trackers.log(step, phase, values)

    def add_gates(self, step: int, gates: Dict[str, List[List[float]]]) -> None:
        """Add one histogram of all gate values per modality; ``gates``: layer name -> modality -> expert."""
        if self.writer is None:
            return
        for m, per_layer in enumerate(zip(*gates.values())):
            self.writer.add_histogram(f"gates/modality_{m}", np.concatenate(per_layer), step)

    def truncate_after(self, step: int) -> None:
        """Remove the lines after ``step``, which a resumed run writes again."""
        if self.writer is None or not self.path.is_file():
            return
        lines = [json.dumps(line) + "\n" for line in read_json_lines(self.path, LINE, True) if line["step"] <= step]
        write_lines(self.path, lines)
