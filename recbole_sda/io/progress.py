"""Progress of a long step: a bar in a terminal, a line per minute in a log that goes to a file or a pipe."""

import logging
import sys
import time
from typing import Any, Dict, Optional

from tqdm import tqdm

logger = logging.getLogger(__name__)

PERIOD = 60.0  # seconds between two lines


class Progress:
    """Context manager that counts units of work.

    Args:
        total: number of units; None where it is unknown.
        desc: what is done.
        unit: name of a unit.
        initial: units that are done already.
        shown: False shows nothing, as in all processes but the first.
        scale: whether large numbers are shown in k, M and G, as for bytes.
    """

    def __init__(
        self, total: Optional[int], desc: str, unit: str, initial: int = 0, shown: bool = True, scale: bool = False
    ):
        self.total, self.desc, self.unit, self.done, self.shown = total, desc, unit, initial, shown
        in_terminal = shown and sys.stderr.isatty()
        self.logs = shown and not in_terminal
        self.next_line = time.monotonic() + PERIOD
        self.bar = tqdm(
            total=total,
            initial=initial,
            desc=desc,
            unit=unit,
            unit_scale=scale,
            leave=not scale,
            disable=not in_terminal,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def update(self, n: int = 1, values: Optional[Dict[str, str]] = None) -> None:
        """Count ``n`` more units.

        Args:
            n: number of units.
            values: shown beside the bar, by name.
        """
        self.done += n
        self.bar.update(n)
        if values:
            self.bar.set_postfix(values)
        if self.logs and time.monotonic() >= self.next_line:
            self.next_line = time.monotonic() + PERIOD
            total = "" if self.total is None else f" of {self.total:,}"
            logger.info("%s: %s%s %s", self.desc, f"{self.done:,}", total, self.unit)
