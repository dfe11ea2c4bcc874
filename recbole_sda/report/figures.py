"""Pictures of a comparison and of what happened in training; each function returns None where there is nothing to show."""

from typing import Any, Dict, List, Optional

import numpy as np

from recbole_sda.comparison.tables import metric_title
from recbole_sda.report.collect import Line
from recbole_sda.report.style import Figure, legend_below, panels, style

QUINTILES = [f"quintile {k}" for k in range(1, 6)]


def gains_figure(found: Dict[str, Any]) -> Optional[Figure]:
    """Relative gain of each row over its base with the bootstrap interval over users, for all cases and tail items."""
    shown = [(line, scope, name) for line in found["rows"] for scope in line["tests"] for name in line["tests"][scope]]
    columns = list(dict.fromkeys((line["dataset"], scope) for line, scope, _ in shown))
    if not columns:
        return None
    names = list(dict.fromkeys(name for *_, name in shown))
    most = max(len({line["row"] for line, scope, _ in shown if (line["dataset"], scope) == c}) for c in columns)
    figure, axes = panels(len(columns), width=5.6, height=1.5 + 0.45 * most)
    for axis, (dataset, scope) in zip(axes, columns):
        rows = [line for line in found["rows"] if line["dataset"] == dataset and scope in line["tests"]]
        for k, name in enumerate(names):
            points = [_relative(line, scope, name) for line in rows]
            at = np.arange(len(rows)) + (k - (len(names) - 1) / 2) * 0.22
            low, middle, high = np.array(points).T
            shape = style(k, linestyle="", label=metric_title(name))
            axis.errorbar(middle, at, xerr=[middle - low, high - middle], elinewidth=1.2, capsize=2, **shape)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(rows)), [line["row"] for line in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        cases = rows[0]["cases"][scope]
        axis.set_title(f"{dataset}, {'all users' if scope == 'all' else scope + ' items'} ({cases:,})", fontsize=10)
        axis.set_xlabel("gain over the base, %")
    legend_below(figure, axes)
    return figure


def _relative(line: Dict[str, Any], scope: str, name: str) -> tuple:
    test, gain = line["tests"][scope][name], line["gain"][scope][name]
    if not gain:  # the base hits nothing, or both hit alike
        return (0.0, 0.0, 0.0) if test["difference"] == 0 else (np.nan,) * 3
    unit = 100 * gain / test["difference"]
    return unit * test["low"], 100 * gain, unit * test["high"]


def groups_figure(lines: List[Line], metric: str) -> Optional[Figure]:
    """A metric by the popularity of the right item: fifths of the catalogue, and cold items where there are cases."""
    datasets = list(dict.fromkeys(line.dataset for line in lines))
    if not datasets:
        return None
    figure, axes = panels(len(datasets))
    for axis, dataset in zip(axes, datasets):
        own = [line for line in lines if line.dataset == dataset]
        names = (["cold"] if own[0].cases("items", "cold") else []) + QUINTILES
        for k, line in enumerate(own):
            axis.plot([line.group("items", name, metric) for name in names], label=line.row, **style(k))
        ticks = [f"{name.removeprefix('quintile ')}\n{own[0].cases('items', name):,}" for name in names]
        axis.set_xticks(range(len(names)), ticks)
        axis.set(
            title=dataset, ylabel=metric_title(metric), xlabel="quintile of the items, least popular first; test cases"
        )
        axis.set_ylim(bottom=0)
    legend_below(figure, axes)
    return figure


def curves_figure(lines: List[Line], phase: str, key: str, label: str) -> Optional[Figure]:
    """A figure of the history by epoch, a thin line per seed and the mean of the epochs that all seeds reached."""
    with_curves = [(line, line.curve(phase, key)) for line in lines]
    datasets = list(dict.fromkeys(line.dataset for line, curves in with_curves if curves))
    if not datasets:
        return None
    figure, axes = panels(len(datasets))
    for axis, dataset in zip(axes, datasets):
        for k, (line, curves) in enumerate([pair for pair in with_curves if pair[0].dataset == dataset]):
            shape = style(k)
            for epochs, values in curves if len(curves) > 1 else []:
                axis.plot(epochs, values, color=shape["color"], linewidth=0.6, alpha=0.5)
            if curves:
                n = min(len(values) for _, values in curves)
                mean = np.mean([values[:n] for _, values in curves], axis=0)
                axis.plot(curves[0][0][:n], mean, label=line.row, markevery=max(1, n // 8), **shape)
        axis.set(title=dataset, xlabel="epoch", ylabel=label)
    legend_below(figure, axes)
    return figure


def gates_figure(lines: List[Line]) -> Optional[Figure]:
    """The experts' share of each modality in the item encoder, at the end of training, mean over seeds."""
    shown = []
    for line in lines:
        ends = [_last_gates(history) for history in line.histories]
        if ends and all(ends):
            shown.append(
                (f"{line.row}\n{line.dataset}", {m: np.mean([end[m] for end in ends], axis=0) for m in ends[0]})
            )
    if not shown:
        return None
    figure, axes = panels(len(shown), width=3.4, height=1.9, columns=3)
    for axis, (title, gates) in zip(axes, shown):
        _map_of(axis, np.array(list(gates.values())), list(gates), "modality", numbers=True)
        axis.set_title(title, fontsize=9)
    return figure


def _last_gates(history: List[Dict[str, Any]]) -> Dict[str, List[float]]:
    epochs = [line for line in history if line["phase"] == "train"]
    found: Dict[str, List[float]] = {}
    for key, value in (epochs[-1] if epochs else {}).items():
        if key.startswith("gate/"):
            found.setdefault(key.split("/")[1], []).append(value)
    return found


def layer_gates_figure(record: Dict[str, Any]) -> Optional[Figure]:
    """The experts' share of each modality in every adapted layer of an LVLM."""
    gates = record.get("gates")
    if not gates:
        return None
    values = np.array(list(gates.values()))  # (layers, modalities, experts)
    figure, axes = panels(values.shape[1], width=4.4, height=1.4 + 0.16 * len(values))
    names = [name.removeprefix("model.language_model.layers.") for name in gates]
    for m, axis in enumerate(axes):
        _map_of(axis, values[:, m], names if m == 0 else [""] * len(names), "adapted layer", numbers=len(values) <= 40)
        axis.set_title(("image", "text")[m] if len(axes) == 2 else f"modality {m}")
    return figure


def _map_of(axis, values: np.ndarray, names: List[str], what: str, numbers: bool) -> None:
    axis.imshow(values, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1))
    axis.set(xlabel="expert", ylabel=what)
    for (row, column), value in np.ndenumerate(values if numbers else np.empty((0, 0))):
        colour = "white" if value > 0.55 else "black"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
