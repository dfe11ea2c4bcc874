"""Figure of gradient conflict: the cosine of image and text gradients, by layer and over training."""

from pathlib import Path
from typing import Union

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import COUNT, NUMBER
from recbole_sda.report.style import Figure, style

POINT = {"step": COUNT, "mean": NUMBER, "layers": {str: NUMBER}}
SHAPE = {"methods": {str: [POINT]}, "backbone": {"model": str}}
NAMES = {"lora": "LoRA", "two_lora": "two LoRAs", "moda": "MoDA"}


def conflict_figure(path: Union[str, Path], columns: int = 2) -> Figure:
    """Return the figure of a gradient measurement, a file that :func:`recbole_sda.lvlm.gradients.write` wrote.

    ``columns`` is the number of panels side by side, 1 or 2.

    Raises:
        InputError: the file is missing or damaged, or an entry is missing or has another type.
    """
    measurement = read_json(path, SHAPE)
    for method, points in measurement["methods"].items():
        if method not in NAMES or not points:
            raise InputError(f"{path}: methods: {method}: expected points of one of {', '.join(NAMES)}")
    if not measurement["methods"]:
        raise InputError(f"{path}: methods is empty")
    wide = columns > 1
    figure = Figure(figsize=(11, 4) if wide else (5, 7), layout="constrained")
    by_layer, over_time = figure.subplots(2 - wide, 1 + wide, width_ratios=[2, 1] if wide else None)
    for k, (method, points) in enumerate(measurement["methods"].items()):
        line = style(k, label=NAMES[method])
        by_layer.plot(list(points[-1]["layers"].values()), **line)
        over_time.plot([p["step"] for p in points], [p["mean"] for p in points], **line)
    last = next(iter(measurement["methods"].values()))[-1]["step"]
    for axes in (by_layer, over_time):
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_ylabel("cosine of image and text gradients")
        axes.spines[["top", "right"]].set_visible(False)
    low = min(0, *by_layer.get_ylim(), *over_time.get_ylim())
    high = max(0, *by_layer.get_ylim(), *over_time.get_ylim())
    by_layer.set(xlabel="adapted layer, from input to output", title=f"after {last} steps", ylim=(low, high))
    over_time.set(xlabel="step", title="mean over layers", ylim=(low, high))
    by_layer.legend(frameon=False)
    figure.suptitle(f"Gradient conflict, {measurement['backbone']['model']}")
    return figure


def draw(path: Union[str, Path], out: Union[str, Path]) -> Path:
    """Draw the figure of a gradient measurement into an image file; return its path."""
    with atomic_write(Path(out)) as draft:
        conflict_figure(path).savefig(draft, format=Path(out).suffix[1:] or "png", dpi=150)
    return Path(out)
