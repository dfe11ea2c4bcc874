"""What adaptation tells about itself on the way: a line per step in a file, and TensorBoard curves."""

import json
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from recbole_sda.io.text import read_json_lines
from recbole_sda.machine import torchrun

HISTORY, TENSORBOARD = "history.jsonl", "tensorboard"


class History:
    """The first process writes; the others write nothing.

    Args:
        folder: where ``history.jsonl`` and ``tensorboard/`` go.
    """

    def __init__(self, folder):
        self.path = Path(folder) / HISTORY
        self.writer: Optional[SummaryWriter] = None
        if torchrun.is_main():
            self.writer = SummaryWriter(str(Path(folder) / TENSORBOARD))

    def add(self, step: int, phase: str, values: Dict[str, float]) -> None:
        """Add figures after ``step`` steps; phase is ``train`` or ``evaluation``."""
        if self.writer is None:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "phase": phase, **values}) + "\n")
        for name, value in values.items():
            self.writer.add_scalar(f"{phase}/{name}", value, step)
        self.writer.flush()

    def add_gates(self, step: int, gates: Dict[str, List[List[float]]]) -> None:
        """Add a histogram per modality of all layers' gate values; layer name -> modality -> expert."""
        if self.writer is None:
            return
        for m, per_layer in enumerate(zip(*gates.values())):
            self.writer.add_histogram(f"gates/modality_{m}", np.concatenate(per_layer), step)

    def cut(self, step: int) -> None:
        """Drop what came after ``step`` steps: a resumed run does it again."""
        if self.writer is None or not self.path.is_file():
            return
        kept = [json.dumps(line) + "\n" for line in read_json_lines(self.path) if line["step"] <= step]
        self.path.write_text("".join(kept), encoding="utf-8")
