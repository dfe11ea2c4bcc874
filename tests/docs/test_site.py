"""The documentation site: strict links, no request to another server, lists and tables rendered, all pages in the navigation."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import recbole_sda

ROOT = Path(__file__).resolve().parents[2]
LOADS = re.compile(
    r'<(?:script|img|iframe|source)[^>]+src="(https?:)?//|<link[^>]+rel="(?:stylesheet|preconnect|icon)"[^>]+href="(?:https?:)?//'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; warnings are errors."""
    pytest.importorskip("material"), pytest.importorskip("mkdocstrings")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.slow
def test_it_asks_no_other_server(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in [*pages, *site.rglob("*.css")]:
        text = page.read_text(encoding="utf-8")
        assert not LOADS.search(text), page
        assert not re.search(r"@import|url\((?:\"|')?https?:", text), page


@pytest.mark.slow
def test_lists_and_tables_are_rendered(site):
    """Code hosts and the site read Markdown by different rules; a list that only one of them sees is in a paragraph here."""
    for page in site.rglob("*.html"):
        for paragraph in re.findall(r"<p>(.*?)</p>", page.read_text(encoding="utf-8"), re.DOTALL):
            assert not re.search(r"^(?:- |\d+\. |\|.*\|$|```)", paragraph, re.MULTILINE), f"{page}: {paragraph[:200]}"


@pytest.mark.slow
def test_the_api_has_every_public_name(site):
    text = (site / "api/index.html").read_text(encoding="utf-8")
    for name in [*recbole_sda._PUBLIC, "lvlm.adapt", "lvlm.extract", "lvlm.MoDAConfig"]:
        assert re.search(rf'<h3 id="[^"]+"[^>]*>.*?{re.escape(name)}', text, re.DOTALL), name
    assert ":class:" not in text and ":func:" not in text


def test_pages_that_come_later_are_added_to_the_guides(monkeypatch, tmp_path):
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/site_hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    (tmp_path / "docs").mkdir()
    for name in ("usage.md", "serving.md"):
        (tmp_path / "docs" / name).write_text("# x")
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    nav = hooks.on_config({"nav": [{"Guides": ["usage.md"]}, {"Method": "method.md"}]})["nav"]
    assert nav == [{"Guides": ["usage.md", "serving.md"]}, {"Method": "method.md"}]


def test_the_navigation_names_only_pages_that_exist():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    names = re.findall(r"[\w./-]+\.md", text[text.index("\nnav:") :])
    generated = ("index.md", "api.md", "contributing.md", "security.md", "changelog.md")
    assert len(names) > 20 and yaml.safe_load(text)["theme"]["font"] is False
    for name in names:
        here = (
            ROOT
            / "docs"
            / name.replace("notebooks/", "notebooks/").replace(".md", ".ipynb" if "notebooks" in name else ".md")
        )
        assert here.is_file() or name in generated or name.startswith("benchmarks/"), name
