"""Picture of the gradient conflict: the cosine of image and text gradients, by layer and over training."""

import json
from pathlib import Path

from recbole_sda.report.style import Figure, plt, style

NAMES = {"lora": "LoRA", "two_lora": "two LoRAs", "moda": "MoDA"}


def conflict_figure(result) -> Figure:
    """Return the picture of the file that :func:`recbole_sda.lvlm.gradients.write` made."""
    found = json.loads(Path(result).read_text(encoding="utf-8"))
    figure, (by_layer, over_time) = plt.subplots(
        1, 2, figsize=(11, 4), gridspec_kw={"width_ratios": [2, 1]}, layout="constrained"
    )
    for k, (method, points) in enumerate(found["methods"].items()):
        shape = style(k, label=NAMES[method])
        by_layer.plot(list(points[-1]["layers"].values()), **shape)
        over_time.plot([p["step"] for p in points], [p["mean"] for p in points], **shape)
    last = next(iter(found["methods"].values()))[-1]["step"]
    for axes in (by_layer, over_time):
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_ylabel("cosine of image and text gradients")
        axes.spines[["top", "right"]].set_visible(False)
    low = min(0, *by_layer.get_ylim(), *over_time.get_ylim())
    high = max(0, *by_layer.get_ylim(), *over_time.get_ylim())
    by_layer.set(xlabel="adapted layer, from the input on", title=f"after {last} steps", ylim=(low, high))
    over_time.set(xlabel="step", title="mean over layers", ylim=(low, high))
    by_layer.legend(frameon=False)
    figure.suptitle(f"Gradient conflict, {found['backbone']['model']}")
    return figure


def draw(result, out) -> Path:
    """Draw the file of a measurement; return the picture's path."""
    figure = conflict_figure(result)
    figure.savefig(out, dpi=150)
    plt.close(figure)
    return Path(out)
