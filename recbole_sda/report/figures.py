"""Figures of comparisons and of training; each function returns None where it has nothing to show."""

import textwrap
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from recbole_sda.comparison.tables import groups_of, metric_title
from recbole_sda.report.collect import SeedRuns
from recbole_sda.report.style import Figure, legend_below, panels, positions, style

QUINTILES = [f"quintile {k}" for k in range(1, 6)]
FEW_HITS = 10  # of the base: relative gains over fewer have intervals of hundreds of per cent


def gains_figure(comparison: Dict[str, Any], columns: int = 2) -> Optional[Figure]:
    """Plot the relative gain of each row over its base with its bootstrap interval, by groups and protocols.

    A gain over fewer than :data:`FEW_HITS` hits of the base is not drawn.

    Args:
        comparison: see :func:`recbole_sda.comparison.statistics.compare_runs`.
        columns: panels side by side, as in the other functions of this module.
    """
    rows = comparison["rows"]
    shown = [
        (row, scope, name)
        for row in rows
        for scope in row["tests"]
        for name in row["tests"][scope]
        if _base_hits(rows, row, scope, name) >= FEW_HITS
    ]
    of_panels: Dict[Tuple[str, str], Dict[str, Any]] = {}
    for row, scope, _ in shown:
        of_panels.setdefault((row["dataset"], scope), {})[row["row"]] = row
    if not of_panels:
        return None
    names = list(dict.fromkeys(name for *_, name in shown))
    height = 1.5 + 0.45 * max(map(len, of_panels.values()))
    figure, axes = panels(len(of_panels), width=5.6, height=height, columns=columns)
    for axis, ((dataset, scope), of_panel) in zip(axes, of_panels.items()):
        lines = list(of_panel.values())
        for k, name in enumerate(names):
            gains = [
                _gain_in_percent(row, scope, name) if (row, scope, name) in shown else (np.nan,) * 3 for row in lines
            ]
            at = np.arange(len(lines)) + (k - (len(names) - 1) / 2) * 0.22
            low, middle, high = np.array(gains).T
            line = style(k, linestyle="", label=metric_title(name))
            axis.errorbar(middle, at, xerr=np.abs([middle - low, high - middle]), elinewidth=1.2, capsize=2, **line)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(lines)), [textwrap.fill(name, 24) for name in of_panel])
        axis.set_ylim(len(lines) - 0.5, -0.5)
        cases_of = f"{scope} items" if scope in groups_of(comparison) else f"{scope}, all users"
        cases_of = "all users" if scope == "all" else cases_of
        axis.set_title(f"{dataset}, {cases_of} ({lines[0]['cases'][scope]:,})", fontsize=10)
        axis.set_xlabel("gain over the base, %")
    legend_below(figure, axes)
    return figure


def _base_hits(rows: List[Dict[str, Any]], row: Dict[str, Any], scope: str, name: str) -> float:
    """Return the number of hits of a row's base behind a metric; without Hit at the same cut-off, a lower bound of it."""
    base = [r for r in rows if r["dataset"] == row["dataset"] and r["row"] == row["base"]]
    metrics = base[0]["metrics"].get(scope, {}) if base else {}
    value = metrics.get(f"hit@{name.partition('@')[2]}") or metrics.get(name)
    return base[0]["cases"][scope] * value["mean"] if value else np.inf


def _gain_in_percent(row: Dict[str, Any], scope: str, name: str) -> Tuple[float, float, float]:
    """Return the gain between the ends of its interval (low, gain, high); nan where the base has no hit."""
    test, gain = row["tests"][scope][name], row["gain"][scope][name]
    if test["difference"] == 0:  # of equal runs, whose gain may be a rounding error
        return (0.0, 0.0, 0.0)
    if not gain:  # the base has mean zero
        return (np.nan,) * 3
    unit = 100 * gain / test["difference"]
    return unit * test["low"], 100 * gain, unit * test["high"]


def groups_figure(rows: List[SeedRuns], metric: str, columns: int = 2) -> Optional[Figure]:
    """Plot a metric by the popularity of the right item: quintiles of the items, and cold items where there are cases."""
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    if not datasets:
        return None
    styles = positions(row.row for row in rows)
    figure, axes = panels(len(datasets), columns=columns)
    for axis, dataset in zip(axes, datasets):
        of_dataset = [row for row in rows if row.dataset == dataset]
        first = of_dataset[0]
        names = (["cold"] if first.cases("items", "cold") else []) + QUINTILES
        for row in of_dataset:
            values = [row.group_mean("items", name, metric) for name in names]
            axis.plot(values, label=row.row, **style(styles[row.row]))
        ticks = [f"{name.removeprefix('quintile ')}\n{first.cases('items', name):,}" for name in names]
        axis.set_xticks(range(len(names)), ticks)
        axis.set(
            title=dataset, ylabel=metric_title(metric), xlabel="quintile of the items, least popular first; test cases"
        )
        axis.set_ylim(bottom=0)
    legend_below(figure, axes)
    return figure


def curves_figure(rows: List[SeedRuns], phase: str, key: str, label: str, columns: int = 2) -> Optional[Figure]:
    """Plot a key of the training log by epoch: a thin line per seed, and the mean over the epochs that all seeds reached."""
    with_curves = [(row, row.curves(phase, key)) for row in rows]
    datasets = list(dict.fromkeys(row.dataset for row, curves in with_curves if curves))
    if not datasets:
        return None
    styles = positions(row.row for row in rows)
    figure, axes = panels(len(datasets), columns=columns)
    for axis, dataset in zip(axes, datasets):
        for row, curves in [pair for pair in with_curves if pair[0].dataset == dataset]:
            line = style(styles[row.row])
            for epochs, values in curves if len(curves) > 1 else []:
                axis.plot(epochs, values, color=line["color"], linewidth=0.6, alpha=0.5)
            if curves:
                n = min(len(values) for _, values in curves)
                mean = np.mean([values[:n] for _, values in curves], axis=0)
                axis.plot(curves[0][0][:n], mean, label=row.row, markevery=max(1, n // 8), **line)
        axis.set(title=dataset, xlabel="epoch", ylabel=label)
    legend_below(figure, axes)
    return figure


def gates_figure(rows: List[SeedRuns], columns: int = 3) -> Optional[Figure]:
    """Show the weight of each expert by modality in the item encoder after the last epoch, mean over seeds."""
    shown = []
    for row in rows:
        last_gates = [_last_gates(log) for log in row.train_logs]
        if last_gates and all(last_gates):
            gates = {name: np.mean([of_seed[name] for of_seed in last_gates], axis=0) for name in last_gates[0]}
            shown.append((f"{row.row}\n{row.dataset}", gates))
    if not shown:
        return None
    figure, axes = panels(len(shown), width=3.4, height=1.9, columns=columns)
    for axis, (title, gates) in zip(axes, shown):
        _heat_map(axis, np.array(list(gates.values())), list(gates), "modality", numbers=True)
        axis.set_title(title, fontsize=9)
    return figure


def _last_gates(log: List[Dict[str, Any]]) -> Dict[str, List[float]]:
    """Return modality -> weights of the experts after the last epoch; empty without gates."""
    epochs = [line for line in log if line["phase"] == "train"]
    gates: Dict[str, List[float]] = {}
    for key, value in (epochs[-1] if epochs else {}).items():
        if key.startswith("gate/"):
            gates.setdefault(key.split("/")[1], []).append(value)
    return gates


def layer_gates_figure(record: Dict[str, Any], columns: int = 2) -> Optional[Figure]:
    """Show the weight of each expert by modality in every adapted layer of an LVLM.

    Args:
        record: content of the adaptation's ``adapt.yaml``.
        columns: panels side by side.
    """
    gates = record.get("gates")
    if not gates:
        return None
    values = np.array(list(gates.values()))  # (layers, modalities, experts)
    figure, axes = panels(values.shape[1], width=4.4, height=1.4 + 0.16 * len(values), columns=columns)
    names = [name.removeprefix("model.language_model.layers.") for name in gates]
    for m, axis in enumerate(axes):
        labels = names if m % columns == 0 else [""] * len(names)
        _heat_map(axis, values[:, m], labels, "adapted layer", numbers=len(values) <= 40)
        axis.set_title(("image", "text")[m] if len(axes) == 2 else f"modality {m}")
    return figure


def _heat_map(axis: Any, values: np.ndarray, labels: List[str], label: str, numbers: bool) -> None:
    axis.imshow(values, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1))
    axis.set(xlabel="expert", ylabel=label)
    for (row, column), value in np.ndenumerate(values if numbers else np.empty((0, 0))):
        colour = "white" if value > 0.55 else "black"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
