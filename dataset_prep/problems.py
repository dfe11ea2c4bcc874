"""What was wrong with the input: counted by kind, the first examples of each written to a file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

KEPT = 1000  # examples of each kind that are written


class Problems:
    """Counts of what was left out or mended, and examples."""

    def __init__(self) -> None:
        self.counts: Counter = Counter()
        self.examples: List[Dict[str, Any]] = []

    def add(self, kind: str, where: str, what: str = "") -> None:
        """Count one case.

        Args:
            kind: such as ``bad line``.
            where: file and line, or an id.
            what: what was found.
        """
        self.counts[kind] += 1
        if self.counts[kind] <= KEPT:
            self.examples.append({"problem": kind, "where": where, "found": what[:200]})

    def write(self, path) -> None:
        """Write the examples, one JSON object per line; no file without problems."""
        path = Path(path)
        if not self.examples:
            path.unlink(missing_ok=True)
            return
        text = "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in self.examples)
        path.write_text(text, encoding="utf-8")
