"""Problems of the input: counted by kind, with the first examples of each written to a file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

from recbole_sda.io.atomic_write import write_lines

MAX_EXAMPLES = 1000  # of each kind


class Problems:
    """Counts of the input that was left out or repaired, and examples.

    Attributes:
        counts: number of cases by kind.
        examples: the first cases of each kind.
    """

    def __init__(self) -> None:
        self.counts: Counter = Counter()
        self.examples: List[Dict[str, Any]] = []

    def add(self, kind: str, where: str, found: str = "") -> None:
        """Count one case.

        Args:
            kind: such as ``bad line``.
            where: file and line, or an id.
            found: the input, of which the first 200 characters are recorded.
        """
        self.counts[kind] += 1
        if self.counts[kind] <= MAX_EXAMPLES:
            self.examples.append({"problem": kind, "where": where, "found": found[:200]})

    def write(self, path: Path) -> None:
        """Write the examples, one JSON object per line; without examples, remove the file."""
        if self.examples:
            write_lines(path, (json.dumps(example, ensure_ascii=False) + "\n" for example in self.examples))
        else:
            path.unlink(missing_ok=True)
