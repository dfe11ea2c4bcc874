"""A report from real runs on the tiny data set, and its figures against numbers made by hand."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from recbole_sda.cli.experiments import main
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.report.collect import Line, collect
from recbole_sda.report.embedding_space import found_share, read_space
from recbole_sda.report.figures import curves_figure, gains_figure, gates_figure, groups_figure, layer_gates_figure
from recbole_sda.report.frames import cost_frame, groups_frame, spread_frame
from recbole_sda.report.report import write_report
from recbole_sda.report.style import plt


@pytest.fixture(scope="module")
def runs(data_path, tmp_path_factory):
    """Folders of four runs: a base and its SDA version, two seeds."""
    root = tmp_path_factory.mktemp("runs")
    keys = {"data_path": str(data_path), "epochs": 3, "train_batch_size": 64, "use_gpu": False, "topk": [5, 10]}
    made = []
    for model in ("BPR", "BPR_SDA"):
        for seed in (1, 2):
            made.append(root / f"{model}-{seed}")
            experiment.run(model, "tiny", (), {**keys, "threads": 1, "seed": seed, "run_dir": str(made[-1])})
    return made


class Page(HTMLParser):
    """Collects where a page points to, and checks that its tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.open = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[name] for name in ("href", "src") if name in attrs]
        self.images += [attrs["alt"]] if tag == "img" else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_runs_become_a_page_tables_and_pictures(runs, tmp_path, capsys):
    assert main(["report", *map(str, runs), f"--out={tmp_path / 'r'}", "--title=Mine & yours"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "r/index.html")
    text = (tmp_path / "r/index.html").read_text()
    page = Page(text)
    assert all(link.startswith(("data:image/svg+xml;base64,", "#s")) for link in page.links)
    assert len(page.images) >= 5 and all(page.images)
    assert "<h1>Mine &amp; yours</h1>" in text
    names = {path.name for path in (tmp_path / "r/figures").iterdir()}
    assert {"gains-1.svg", "groups.png", "curves.svg", "entropy.svg", "gates.svg", "space-1.svg"} <= names
    markdown = (tmp_path / "r/report.md").read_text()
    for name in re.findall(r"\]\((figures/[^)]+)\)", markdown):
        assert (tmp_path / "r" / name).is_file()
    assert "BPR_SDA - BPR" in markdown and (tmp_path / "r/tables.tex").read_text().count(r"\toprule") == 1
    mean = np.mean([json.loads((r / "metrics.json").read_text())["test"]["hit@10"] for r in runs[:2]])
    assert f"{mean:.4f} ± " in markdown


def test_figures_show_the_numbers(runs):
    material = collect(map(str, runs))
    base, ours = material.lines
    results = [json.loads((folder / "metrics.json").read_text()) for folder in runs[2:]]
    head = np.mean([result["groups"]["test"]["items"]["head"]["ndcg@10"] for result in results])
    assert np.isclose(ours.group("items", "head", "ndcg@10"), head)
    shown = groups_figure(material.lines, "ndcg@10").axes[0].lines[1].get_ydata()
    assert np.isclose(shown[-1], ours.group("items", "quintile 5", "ndcg@10"))
    history = [json.loads(line) for line in (runs[2] / "history.jsonl").read_text().splitlines()]
    valid = [line["ndcg@10"] for line in history if line["phase"] == "valid"]
    assert ours.curve("valid", "ndcg@10")[0] == ((1, 2, 3), tuple(valid))
    axes = curves_figure(material.lines, "valid", "ndcg@10", "x").axes[0]
    assert np.allclose(axes.lines[3].get_ydata(), valid)  # after the base's two seeds and mean
    line = material.comparisons[0]["rows"][1]
    figure = gains_figure(material.comparisons[0])
    assert np.isclose(figure.axes[0].lines[0].get_xdata()[0], 100 * line["gain"]["all"]["hit@10"])
    plt.close("all")
    gates = gates_figure(material.lines).axes[0].images[0].get_array()
    assert gates.shape == (2, 4) and np.allclose(np.asarray(gates).sum(axis=1), 1)
    assert cost_frame(material.lines)["parameters"].tolist() == [
        f"{r['parameters']:,}" for r in (base.results[0], results[0])
    ]
    assert groups_frame(material.lines, ["hit@10"]).shape[0] == 2 and "coverage@10" in spread_frame(material.lines)
    plt.close("all")


def test_where_there_is_nothing_to_show():
    line = Line("x", "d", [], [], [[{"epoch": 0, "phase": "train"}]])
    assert curves_figure([line], "train", "cmsa/target_entropy", "y") is None and gates_figure([line]) is None
    assert groups_figure([], "ndcg@10") is None and layer_gates_figure({}) is None
    assert gains_figure({"rows": [{"tests": {}}]}) is None


def test_adaptations_and_comparisons(runs, tmp_path):
    gates = {f"model.language_model.layers.{k}.q_proj": [[0.1, 0.2, 0.3, 0.4], [0.25] * 4] for k in range(3)}
    (tmp_path / "adapted").mkdir()
    (tmp_path / "adapted/adapt.yaml").write_text(
        yaml.safe_dump({"gates": gates, "best": {"step": 3, "recall@10": 0.5}})
    )
    figure = layer_gates_figure({"gates": gates})
    assert np.allclose(figure.axes[0].images[0].get_array(), [[0.1, 0.2, 0.3, 0.4]] * 3)
    out = write_report([str(tmp_path / "adapted"), str(runs[0])], tmp_path / "r").parent
    assert "recall@10 0.5" in (out / "report.md").read_text() and (out / "figures/layer-gates-1.png").is_file()
    plt.close("all")


def test_rows_are_named_by_what_differs(runs, tmp_path, data_path):
    other = tmp_path / "other"
    keys = {"data_path": str(data_path), "epochs": 3, "train_batch_size": 64, "use_gpu": False, "topk": [5, 10]}
    experiment.run("BPR_SDA", "tiny", (), {**keys, "threads": 1, "seed": 1, "cmsa_weight": 0.0, "run_dir": str(other)})
    lines = collect([*map(str, runs), str(other)]).lines
    assert [line.row for line in lines] == ["BPR", "BPR_SDA, cmsa_weight=0.1", "BPR_SDA, cmsa_weight=0.0"]
    with pytest.raises(InputError, match="are the same run twice: BPR, seed 1"):
        collect([str(runs[0]), str(runs[0])])


def test_the_space_of_a_run(runs):
    assert read_space(runs[0]) is None
    space = read_space(runs[2])
    assert space.names == ["image", "text"] and [x.shape[1] for x in space.before] == [6, 10]
    assert space.after[0].shape == space.after[1].shape == (len(space.before[0]), 64)
    x = np.eye(20) + 0.01
    assert found_share(x, x, 1) == 1.0 and found_share(x, np.roll(x, 1, axis=0), 1) == 0.0


def test_errors(runs, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2 and "holds nothing to report on" in capsys.readouterr().err
    assert (
        main(["report", str(runs[0]), "--topk=3"]) == 2
        and "--topk is not an option of report" in capsys.readouterr().err
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; expected a folder"):
        write_report([str(runs[0])], Path(tmp_path / "file"))


def test_runs_whose_data_are_gone_are_reported(runs, tmp_path):
    """Without their pictures and texts, which lie there."""
    shutil.copytree(runs[2], tmp_path / "run")
    config = yaml.safe_load((runs[2] / "config.yaml").read_text())
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump({**config, "data_path": str(tmp_path / "nowhere")}))
    text = (write_report([str(tmp_path / "run")], tmp_path / "r").parent / "report.md").read_text()
    assert "BPR_SDA on tiny is not shown: " in text and "nowhere" in text


def test_runs_without_a_common_cutoff(runs, tmp_path):
    shutil.copytree(runs[0], tmp_path / "run")
    path = tmp_path / "run/metrics.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "model": "Pop", "test": {"auc": 0.5}}))
    with pytest.raises(InputError, match="have no metric at the same cut-off"):
        write_report([str(tmp_path / "run"), str(runs[2])], tmp_path / "r")
