"""A whole report from real runs on the tiny data set."""

import json
import re
import shutil
from base64 import b64decode
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from recbole_sda.cli.experiments import main
from recbole_sda.errors import InputError
from recbole_sda.report.collect import RUNS_TITLE, ReportData, SeedRuns, collect
from recbole_sda.report.report import _default_title, write_report


class Page(HTMLParser):
    """Collects where a page points to, and checks that its tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.ids, self.tables, self.open = [], [], set(), {}, []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[name] for name in ("href", "src") if name in attrs]
        self.images += [attrs["alt"]] if tag == "img" else []
        self.ids.add(attrs.get("id"))
        if "download" in attrs:
            self.tables[attrs["download"]] = b64decode(attrs["href"].partition(",")[2]).decode()
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_runs_become_a_page_tables_and_figures(runs, tmp_path, capsys):
    assert main(["report", *map(str, runs), f"--out={tmp_path / 'r'}", "--title=Mine & yours"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "r/index.html")
    text = (tmp_path / "r/index.html").read_text()
    page = Page(text)
    assert all(
        link.startswith(("data:image/svg+xml;base64,", "data:text/csv;base64,", "#s")) for link in page.links[:-2]
    )
    assert page.links[-2:] == ["report.md", "tables.tex"] and all(
        (tmp_path / "r" / name).is_file() for name in page.links[-2:]
    )
    assert {link[1:] for link in page.links if link[0] == "#"} <= page.ids
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
    table = pd.read_csv(StringIO(page.tables["results-tiny.csv"]))
    assert table["model"].tolist() == ["BPR", "BPR_SDA"] and table["Hit@10"][0].startswith(f"{mean:.4f} ± ")
    assert text.count("<picture>") == len(page.images) == text.count('media="(max-width: 700px)"')


def test_titles(runs):
    assert _default_title(collect(runs)) == "BPR, BPR_SDA on tiny"
    assert _default_title(ReportData()) == "Adaptation of a vision-language model"
    titles = [{"title": "A"}, {"title": RUNS_TITLE}, {"title": "B"}]
    assert _default_title(ReportData(comparisons=titles)) == "A / B"
    many = [SeedRuns(f"m{k}", "d", [], [], []) for k in range(4)]
    assert _default_title(ReportData(rows=many)) == "4 models on d"


def test_adaptations_and_comparisons(runs, tmp_path):
    gates = {f"model.language_model.layers.{k}.q_proj": [[0.1, 0.2, 0.3, 0.4], [0.25] * 4] for k in range(3)}
    (tmp_path / "adapted").mkdir()
    (tmp_path / "adapted/adapt.yaml").write_text(
        yaml.safe_dump({"settings": {}, "gates": gates, "best": {"step": 3, "recall@10": 0.5}})
    )
    out = write_report([str(tmp_path / "adapted"), str(runs[0])], tmp_path / "r").parent
    assert "recall@10 0.5" in (out / "report.md").read_text() and (out / "figures/layer-gates-1.png").is_file()


def test_errors(runs, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2 and "has nothing to report on" in capsys.readouterr().err
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
