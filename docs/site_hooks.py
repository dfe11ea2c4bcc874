"""Hooks of mkdocs: pages that are made from other files of the repository, and links between all of them.

Files of the repository link to each other by relative paths, which a code host understands. The site has other paths, so each link
is resolved to a file of the repository first. A linked file that is no page, such as a YAML file of ``properties/``, becomes a page
that shows it.
"""

import json
import posixpath
import re
from base64 import b64decode
from pathlib import Path
from typing import Any, Dict, Iterator, List

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

import recbole_sda

ROOT = Path(__file__).resolve().parents[1]
# Files outside of docs/ -> their pages.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks/index.md",
    **{f"benchmarks/{path.name}": f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("[!R]*.md")},
}
LINK = re.compile(r'(\]\(|src="|href="|srcset=")([^)\s"#]+)(#[^)\s"]*)?(?=[)\s"])')
CELL = re.compile(r"<td[^>]*>[^<]*</td>")
CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".py": "python", ".json": "json"}
API_SECTIONS = {  # module -> heading of its public names
    "engine": "Runs",
    "comparison": "Comparisons",
    "recommend": "Recommendations",
    "model": "Models",
    "features": "Feature stores",
    "layers": "Layers",
    "losses": "Losses",
    "lvlm": "The LVLM stage",
    "errors": "Errors",
}


def on_config(config: Any) -> Any:
    """Add the files of docs/ that mkdocs.yml does not name to the guides."""
    named = set(_pages(config["nav"]))
    guides = next(entry["Guides"] for entry in config["nav"] if "Guides" in entry)
    guides += sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in named)
    return config


def _pages(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for value in entry.values() if isinstance(entry, dict) else entry:
            yield from _pages(value)


def on_page_content(html: str, **_: Any) -> str:
    """Keep numbers and the signs beside them on one line in the cells of tables."""
    return CELL.sub(lambda cell: re.sub(r" (?=[%±/])|(?<=±) ", "&nbsp;", cell[0]), html)


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages: files outside of docs/, notebooks, the API, and linked files that are no pages."""
    sources = {f"docs/{path.name}": path.name for path in (ROOT / "docs").glob("*.md")} | OUTSIDE
    pages = {page: (ROOT / source).read_text(encoding="utf-8") for source, page in sources.items()}
    for notebook in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        page = f"notebooks/{notebook.stem}.md"
        sources[f"docs/{notebook.relative_to(ROOT / 'docs')}"] = page
        pages[page] = _notebook_page(notebook, files, config)
    pages["api.md"] = _api_page()
    for source in list(sources):
        for path in _linked_files(source, pages[sources[source]]):
            if path not in sources and not path.startswith("docs/") and (ROOT / path).is_file():
                sources[path] = f"files/{path}.md"
                pages[sources[path]] = _file_page(path)
    for source, page in sources.items():
        if page in files.src_uris:
            files.remove(files.src_uris[page])
        files.append(File.generated(config, page, content=_resolved(pages[page], source, page, sources)))
    files.append(File.generated(config, "api.md", content=pages["api.md"]))
    return files


def _linked_files(source: str, text: str) -> Iterator[str]:
    for match in LINK.finditer(CODE.sub("", text)):
        if "://" not in match[2] and not match[2].startswith(("mailto:", "data:")):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))


def _resolved(text: str, source: str, page: str, sources: Dict[str, str]) -> str:
    """Return a page's text with each link to a file of the repository as a link to that file's page."""

    def resolve(match: Any) -> str:
        target = next(_linked_files(source, match[0] + ")"), None)
        if target is None or (source.endswith(".ipynb") and match[2].endswith(".png")):  # the notebook's own output
            return match[0]
        if not (ROOT / target).exists():
            raise PluginError(f"{source}: links to {match[2]}, which does not exist")
        inside = sources.get(target) or target.removeprefix("docs/")
        if (ROOT / target).is_dir():
            raise PluginError(f"{source}: links to the folder {match[2]}; link to a file")
        is_html = not match[1].startswith("]")
        base = page.removesuffix("index.md").removesuffix(".md") if is_html else posixpath.dirname(page)
        return f"{match[1]}{posixpath.relpath(inside, base or '.')}{match[3] or ''}"

    parts = CODE.split(text)  # code is at the odd places
    return "".join(part if k % 2 else LINK.sub(resolve, part) for k, part in enumerate(parts))


def _file_page(path: str) -> str:
    language = LANGUAGES.get(Path(path).suffix, "text")
    return f"# {path}\n\n```{language}\n{(ROOT / path).read_text(encoding='utf-8')}```\n"


def _notebook_page(path: Path, files: Any, config: Any) -> str:
    """Return a notebook as Markdown, with its outputs; its images become files of the site."""
    parts: List[str] = []
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for k, output in enumerate(cell["outputs"]):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"notebooks/{path.stem}/{number}-{k}.png"
                files.append(File.generated(config, name, content=b64decode(data["image/png"])))
                parts.append(f"![output of the cell above]({path.stem}/{number}-{k}.png)")
            else:
                shown = "".join(output.get("text", data.get("text/plain", "")))
                parts.append(f"```text\n{shown.rstrip()}\n```")
    parts.append(f"This page is the notebook `docs/notebooks/{path.name}`, which the tests execute.")
    return "\n\n".join(parts) + "\n"


def _api_page() -> str:
    """Return the page of the public interface, in the order of ``recbole_sda.__all__``."""
    lvlm = (ROOT / "recbole_sda/lvlm/__init__.pyi").read_text(encoding="utf-8")
    places = {name: place.replace(":", ".") for name, place in recbole_sda._PUBLIC.items()}
    for module, name in re.findall(r"from recbole_sda\.(lvlm\S*) import (\w+)", lvlm):
        places[f"lvlm.{name}"] = f"{module}.{name}"
    parts = [
        "# Python API",
        "`import recbole_sda` offers these names. Each is imported when it is first used. `recbole_sda.models` has every model as "
        "a class, as `recbole_sda.models.SASRec_SDA`.",
    ]
    for module, heading in API_SECTIONS.items():
        parts.append(f"## {heading}")
        for name, place in places.items():
            if place.startswith((f"{module}.", f"{module}:")):
                parts.append(f"::: recbole_sda.{place}\n    options:\n      heading: {name}\n      toc_label: {name}")
    missing = [name for name, place in places.items() if place.partition(".")[0] not in API_SECTIONS]
    if missing:
        raise PluginError(f"API_SECTIONS has no section for {', '.join(missing)}")
    return "\n\n".join(parts) + "\n"
