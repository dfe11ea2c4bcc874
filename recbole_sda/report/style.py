"""How pictures look: distinct in grey and to colour-blind eyes, with markers and lines of their own beside the colours."""

from pathlib import Path
from typing import Any, Dict, List

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

# Okabe and Ito's palette in an order in which neighbours differ in lightness too.
COLOURS = ("#0072B2", "#D55E00", "#555555", "#CC79A7", "#009E73", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")


def style(k: int, **more: Any) -> Dict[str, Any]:
    """Return the arguments of ``plot`` for the k-th of several lines."""
    shape = {
        "color": COLOURS[k % len(COLOURS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": LINES[k % len(LINES)],
    }
    return {**shape, "markersize": 5, **more}


def panels(n: int, width: float = 5.0, height: float = 3.6, columns: int = 2) -> tuple:
    """Return a figure of n panels and the list of its axes, without the upper and the right edge."""
    columns = min(n, columns)
    rows = -(-n // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), layout="constrained", squeeze=False
    )
    axes = list(grid.flat)
    for spare in axes[n:]:
        spare.remove()
    for axis in axes[:n]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[:n]


def legend_below(figure: Figure, axes: List) -> None:
    """Put one legend for all panels below them."""
    found = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        found.update(zip(labels, handles))
    if found:
        inches = 0.7 + 0.085 * max(map(len, found))  # of the widest entry
        columns = max(1, min(len(found), int(figure.get_figwidth() / inches)))
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG and PNG, ``path`` without its ending, and close it; return the SVG's path."""
    with matplotlib.rc_context({"svg.hashsalt": "recbole_sda"}):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=150)
    plt.close(figure)
    return path.with_suffix(".svg")
