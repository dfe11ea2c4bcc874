"""Style of figures: lines differ in marker and dash as well as in colour, for greyscale print and colour-blind readers."""

import io
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

import matplotlib
from matplotlib.text import Text

from recbole_sda.io.atomic_write import atomic_write

from matplotlib.figure import Figure  # isort: skip  # without pyplot, whose figures and backend belong to the whole process

# Okabe and Ito's palette, in an order in which neighbours also differ in lightness.
COLOURS = ("#0072B2", "#D55E00", "#555555", "#CC79A7", "#009E73", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")


def style(k: int, **more: Any) -> Dict[str, Any]:
    """Return the arguments of ``plot`` for the k-th of several lines; ``more`` are further ones.

    Example:
        >>> style(0, label="BPR")
        {'color': '#0072B2', 'marker': 'o', 'linestyle': '-', 'markersize': 5, 'label': 'BPR'}
    """
    line = {
        "color": COLOURS[k % len(COLOURS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": LINES[k % len(LINES)],
    }
    return {**line, "markersize": 5, **more}


def panels(n: int, width: float = 5.0, height: float = 3.6, columns: int = 2) -> Tuple[Figure, List[Any]]:
    """Return a figure with n panels and the list of their axes, which have no upper and right edge.

    Args:
        n: number of panels, at least 1.
        width: of a panel, inches.
        height: of a panel, inches.
        columns: panels side by side.
    """
    columns = min(n, columns)
    rows = -(-n // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[n:]:
        spare.remove()
    for axis in axes[:n]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[:n]


def positions(names: Iterable[str]) -> Dict[str, int]:
    """Return the number of each distinct name, which :func:`style` takes: a name has one style in all panels.

    Example:
        >>> positions(["BPR", "SASRec", "BPR"])
        {'BPR': 0, 'SASRec': 1}
    """
    return {name: k for k, name in enumerate(dict.fromkeys(names))}


def legend_below(figure: Figure, axes: List[Any]) -> None:
    """Put one legend for all panels below them."""
    entries: Dict[str, Any] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries.update(zip(labels, handles))
    if entries:
        inches = 0.7 + 0.085 * max(map(len, entries))  # width of the widest entry
        columns = max(1, min(len(entries), int(figure.get_figwidth() / inches)))
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns, frameon=False)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG and PNG; ``path`` has no suffix. Return the path of the SVG file."""
    for suffix, content in ((".svg", svg(figure)), (".png", _png(figure))):
        with atomic_write(path.with_suffix(suffix)) as draft:
            draft.write_bytes(content)
    return path.with_suffix(".svg")


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG without a background; the same figure gives the same bytes."""
    for text in figure.findobj(Text):
        if "mathdefault" not in text.get_text():  # of matplotlib's own tick labels; a $ in a name begins no formula
            text.set_parse_math(False)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "recbole_sda"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return buffer.getvalue()


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
