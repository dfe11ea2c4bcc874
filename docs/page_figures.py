"""Figures of the documentation that are drawn from the tables of its pages."""

import re
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from recbole_sda.report.style import legend_below, panels, style, svg

ROOT = Path(__file__).resolve().parents[1]

DARK = "<style>@media (prefers-color-scheme: dark) { svg { filter: invert(1) hue-rotate(180deg); } }</style>"


def as_svg(figure: Any) -> str:
    """Return a figure as SVG that is inverted on dark pages; without the version of matplotlib."""
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", svg(figure).decode(), flags=re.DOTALL)
    head, tag, rest = text.partition(' version="1.1">')
    return f"{head}{tag}\n {DARK}{rest}"


def real_data_figure() -> Any:
    """Return the gains of the SDA versions on real data, from the table "Three seeds" of benchmarks/README.md."""
    text = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    section = text.partition("## Three seeds")[2].partition("\n## ")[0]
    of_dataset: Dict[str, List[Any]] = {}
    for block in re.split(r"\n(?=\w+(?: \(.*?\))?:\n)", section)[1:]:
        name = re.match(r"\w+", block)[0]
        for row in re.findall(r"^\| (\w+_SDA) \| (.*) \|$", block.partition("###")[0], re.MULTILINE):
            cells = [re.search(r"\(([-+]\d+\.\d) %\)(\\\*)?", cell) for cell in row[1].split(" | ")[:2]]
            of_dataset.setdefault(name, []).append((row[0], [(float(c[1]), bool(c[2])) for c in cells]))
    figure, axes = panels(len(of_dataset), width=4.0, height=2.9, columns=3)
    for axis, (name, rows) in zip(axes, of_dataset.items()):
        for k, metric in enumerate(("Hit@10", "NDCG@10")):
            at = np.arange(len(rows)) + (k - 0.5) * 0.3
            look = style(k)
            bars = axis.barh(at, [row[1][k][0] for row in rows], 0.28, color=look["color"], label=metric)
            axis.bar_label(bars, [f"{row[1][k][0]:+.1f}{' *' * row[1][k][1]}" for row in rows], padding=3, fontsize=8)
        axis.set_yticks(range(len(rows)), [row[0] for row in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.margins(x=0.25)
        axis.set(title=name, xlabel="gain over the base, %")
    legend_below(figure, axes)
    return figure


def speed_figure() -> Any:
    """Return the time per epoch as a share of RecBole's, from the first two tables of benchmarks/speed.md."""
    text = (ROOT / "benchmarks/speed.md").read_text(encoding="utf-8").partition("## Peers")[0]
    rows = re.findall(r"^\| (\w+) \| [\d.]+ \| ([\d.]+) \| .*\|$", text, re.MULTILINE)
    half = next(k for k in range(1, len(rows)) if rows[k][0] == rows[0][0])
    figure, axes = panels(2, width=4.6, height=2.9)
    for axis, name, part in zip(axes, ("Amazon_Sports", "Amazon_Instruments"), (rows[:half], rows[half:])):
        look = [style(int(model.endswith("_SDA")))["color"] for model, _ in part]
        bars = axis.barh([model for model, _ in part], [float(ratio) for _, ratio in part], color=look)
        axis.bar_label(bars, [ratio for _, ratio in part], padding=3, fontsize=8)
        axis.axvline(1, color="black", linewidth=0.8, linestyle="--")
        axis.invert_yaxis()
        axis.margins(x=0.15)
        axis.set(title=name, xlabel="time of an epoch, RecBole's own = 1")
    return figure


def learning_figure() -> Any:
    """Return the learning curves on Amazon_Sports, from the table "Learning curves" of benchmarks/README.md."""
    text = (
        (ROOT / "benchmarks/README.md")
        .read_text(encoding="utf-8")
        .partition("### Learning curves")[2]
        .partition("\n#")[0]
    )
    head, _, *rows = (line.strip("| ").split(" | ") for line in re.findall(r"^\|.*\|$", text, re.MULTILINE))
    figure, (axis,) = panels(1, width=7.0, height=4.0)
    for k, (name, *values) in enumerate(rows):
        points = [(int(epoch), float(value)) for epoch, value in zip(head[1:], values) if value.strip()]
        axis.plot(*zip(*points), **style(k, label=name))
    axis.set(title="Amazon_Sports, seed 1", xlabel="epoch", ylabel="validation NDCG@10", ylim=(0.03, None))
    legend_below(figure, [axis])
    return figure
