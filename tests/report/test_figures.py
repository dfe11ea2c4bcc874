"""Figures and tables of a report against numbers computed by hand."""

import json

import numpy as np

from recbole_sda.report.collect import SeedRuns, collect
from recbole_sda.report.figures import (
    QUINTILES,
    curves_figure,
    gains_figure,
    gates_figure,
    groups_figure,
    layer_gates_figure,
)
from recbole_sda.report.frames import cost_frame, coverage_frame, groups_frame


def test_figures_show_the_numbers(runs):
    data = collect(map(str, runs))
    base, ours = data.rows
    results = [json.loads((folder / "metrics.json").read_text()) for folder in runs[2:]]
    head = np.mean([result["groups"]["test"]["items"]["head"]["ndcg@10"] for result in results])
    assert np.isclose(ours.group_mean("items", "head", "ndcg@10"), head)
    shown = groups_figure(data.rows, "ndcg@10").axes[0].lines[1].get_ydata()
    assert np.isclose(shown[-1], ours.group_mean("items", "quintile 5", "ndcg@10"))
    history = [json.loads(line) for line in (runs[2] / "history.jsonl").read_text().splitlines()]
    valid = [line["ndcg@10"] for line in history if line["phase"] == "valid"]
    assert ours.curves("valid", "ndcg@10")[0] == ((1, 2, 3), tuple(valid))
    axes = curves_figure(data.rows, "valid", "ndcg@10", "x").axes[0]
    assert np.allclose(axes.lines[3].get_ydata(), valid)  # after the base's two seeds and mean
    line = data.comparisons[0]["rows"][1]
    figure = gains_figure(data.comparisons[0])
    assert np.isclose(figure.axes[0].lines[0].get_xdata()[0], 100 * line["gain"]["all"]["hit@10"])
    gates = gates_figure(data.rows).axes[0].images[0].get_array()
    assert gates.shape == (2, 4) and np.allclose(np.asarray(gates).sum(axis=1), 1)
    assert cost_frame(data.rows)["parameters"].tolist() == [
        f"{r['parameters']:,}" for r in (base.results[0], results[0])
    ]
    assert groups_frame(data.rows, ["hit@10"]).shape[0] == 2 and "coverage@10" in coverage_frame(data.rows)


def test_gains_under_a_further_protocol_have_their_own_axis():
    test = {"difference": 0.1, "low": 0.05, "high": 0.15}
    row = {
        "row": "ours", "dataset": "d", "base": "base", "metrics": {}, "cases": {"all": 60, "tail": 9, "uni100": 50},
        "tests": {scope: {"hit@10": test} for scope in ("all", "tail", "uni100")},
        "gain": {"all": {"hit@10": 0.2}, "tail": {"hit@10": 0.3}, "uni100": {"hit@10": 0.4}},
    }  # fmt: skip
    axes = gains_figure({"rows": [row]}).axes
    assert [axis.get_title() for axis in axes[:3]] == [
        "d, all users (60)",
        "d, tail items (9)",
        "d, uni100, all users (50)",
    ]
    assert np.isclose(axes[2].lines[0].get_xdata()[0], 40)


def test_equal_runs_have_no_gain_whatever_rounding_makes_of_it():
    test = {"difference": 0.0, "low": 0.0, "high": 0.0}
    row = {"row": "ours", "dataset": "d", "base": "base", "metrics": {}, "cases": {"all": 60}}
    row |= {"tests": {"all": {"hit@10": test}}, "gain": {"all": {"hit@10": 2e-16}}}
    assert gains_figure({"rows": [row]}).axes[0].lines[0].get_xdata()[0] == 0


def test_gains_over_few_hits_are_not_drawn():
    test = {"difference": 0.1, "low": 0.05, "high": 0.15}
    metrics = {"all": {"hit@10": {"mean": 0.5}}, "tail": {"hit@10": {"mean": 0.05}}}
    cases = {"all": 60, "tail": 190}  # 30 and 9.5 hits of the base
    base = {"row": "base", "dataset": "d", "base": None, "cases": cases, "tests": {}, "metrics": metrics}
    ours = {**base, "row": "ours", "base": "base", "gain": {s: {"ndcg@10": 0.2, "hit@10": 0.2} for s in cases},
            "tests": {s: {"ndcg@10": test, "hit@10": test} for s in cases}}  # fmt: skip
    axes = gains_figure({"rows": [base, ours]}).axes
    assert [axis.get_title() for axis in axes] == ["d, all users (60)"]
    few = {**base, "metrics": {"all": {"hit@10": {"mean": 0.1}}}}
    assert gains_figure({"rows": [few, {**ours, "tests": {"all": {"hit@10": test}}}]}) is None


def test_a_row_has_one_style_on_all_data_sets():
    """Also where a data set lacks the rows before it, and the legend has each row once."""
    spread = {"groups": {"test": {"items": {name: {"hit@10": 0.1, "cases": 2} for name in QUINTILES}}}}
    log = [{"epoch": 0, "phase": "valid", "hit@10": 0.1}]
    rows = [SeedRuns(name, data, [], [spread], [log]) for name, data in (("a", "x"), ("b", "x"), ("b", "y"))]
    for figure in (groups_figure(rows, "hit@10"), curves_figure(rows, "valid", "hit@10", "label")):
        first, second = figure.axes
        looks = [
            (line.get_color(), line.get_marker(), line.get_linestyle()) for line in (first.lines[1], second.lines[0])
        ]
        assert looks[0] == looks[1] and first.lines[0].get_color() != looks[0][0]
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert groups_figure(rows, "hit@10", columns=1).axes[0].get_gridspec().get_geometry() == (2, 1)


def test_where_there_is_nothing_to_show():
    row = SeedRuns("x", "d", [], [], [[{"epoch": 0, "phase": "train"}]])
    assert curves_figure([row], "train", "cmsa/target_entropy", "y") is None and gates_figure([row]) is None
    assert groups_figure([], "ndcg@10") is None and layer_gates_figure({}) is None
    assert gains_figure({"rows": [{"tests": {}}]}) is None


def test_layer_gates_show_a_panel_per_modality():
    gates = {f"model.language_model.layers.{k}.q_proj": [[0.1, 0.2, 0.3, 0.4], [0.25] * 4] for k in range(3)}
    figure = layer_gates_figure({"gates": gates})
    assert [axis.get_title() for axis in figure.axes] == ["image", "text"]
    assert np.allclose(figure.axes[0].images[0].get_array(), [[0.1, 0.2, 0.3, 0.4]] * 3)
    assert np.allclose(figure.axes[1].images[0].get_array(), 0.25)
