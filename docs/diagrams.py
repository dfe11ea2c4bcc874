"""The diagrams of the documentation as SVG: the method and the pipeline."""

from html import escape
from typing import List, Sequence, Tuple

STYLE = """<style>
    .box { fill: #fff; stroke: #444; stroke-width: 1.2; }
    .ours { fill: #e8f1fb; stroke: #2f6db5; stroke-width: 1.2; }
    .file { fill: #f4f4f4; stroke: #888; stroke-width: 1; }
    .small { font-size: 12px; }
    .code { font-family: ui-monospace, monospace; font-size: 12.5px; }
    text { fill: #222; }
    .line { fill: none; stroke: #555; stroke-width: 1.4; marker-end: url(#tip); }
    @media (prefers-color-scheme: dark) {
      .box { fill: #1c1f24; stroke: #aaa; } .ours { fill: #15283d; stroke: #6aa5e8; } .file { fill: #26292e; stroke: #888; }
      text { fill: #e6e6e6; } .line { stroke: #bbb; }
    }
  </style>
  <defs>
    <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
      <path d="M0 0L8 4L0 8z" fill="#777"/></marker>
  </defs>"""


def drawing(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Return an SVG file that follows the colour scheme of the page that shows it."""
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui, sans-serif" font-size="14">\n  <title>{escape(title)}</title>\n  {STYLE}\n  {body}\n</svg>\n'
    )


def box(x: int, y: int, width: int, lines: Sequence[str], kind: str = "box", height: int = 0) -> str:
    """Return a box with centred lines of text; a line that begins with ``$`` is code, one that begins with ``.`` is small."""
    height = height or 18 + 19 * len(lines)
    texts: List[str] = []
    for k, line in enumerate(lines):
        style = {"$": ' class="code"', ".": ' class="small"'}.get(line[0], "")
        top = y + (height - 19 * len(lines)) / 2 + 14 + 19 * k
        text = escape(line[1:] if style else line)
        texts.append(f'<text{style} x="{x + width / 2:g}" y="{top:g}" text-anchor="middle">{text}</text>')
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>' + "".join(texts)


def label(x: int, y: int, text: str) -> str:
    """Return a line of centred text."""
    return f'<text x="{x}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def note(x: int, y: int, text: str) -> str:
    """Return a line of small centred text."""
    return f'<text class="small" x="{x}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def arrow(*points: Tuple[int, int]) -> str:
    """Return a line through points with a tip at its end."""
    return f'<path class="line" d="M{" L".join(f"{x} {y}" for x, y in points)}"/>'


def method() -> str:
    """Return the figure of the method: from items to recommendations."""
    parts = [
        box(10, 80, 96, ["items", ".images", ".texts"]),
        box(150, 62, 150, [], height=112),
        label(225, 98, "frozen LVLM"),
        box(166, 116, 118, ["MoDA"], "ours", 38),
        box(344, 40, 128, ["image vectors"], height=44),
        box(344, 152, 128, ["text vectors"], height=44),
        box(344, 98, 128, ["CMSA"], "ours", 40),
        box(520, 76, 112, ["item encoder", ".(MoDA)", "+ IDs"], "ours", 84),
        box(676, 76, 96, ["item table", ".one row", ".per item"], height=84),
        box(816, 68, 124, ["base model", ".SASRec, BPR,", ".LightGCN, ...", "scores"], height=100),
        arrow((106, 118), (148, 118)),
        arrow((300, 90), (322, 90), (322, 62), (342, 62)),
        arrow((300, 146), (322, 146), (322, 174), (342, 174)),
        arrow((408, 98), (408, 86)),
        arrow((408, 138), (408, 150)),
        arrow((472, 62), (496, 62), (496, 100), (518, 100)),
        arrow((472, 174), (496, 174), (496, 136), (518, 136)),
        arrow((632, 118), (674, 118)),
        arrow((772, 118), (814, 118)),
        note(408, 226, "CMSA aligns the two modalities; MoDA has experts"),
        note(408, 243, "that a gate mixes by modality. Blue: parts of SDA."),
    ]
    title = (
        "An LVLM with MoDA adapters turns the images and texts of items into vectors, which CMSA aligns. An item encoder makes the "
        "item table of a base model from them."
    )
    return drawing(950, 256, title, parts)


def pipeline() -> str:
    """Return the figure of the pipeline: commands and what they write."""
    parts = [
        box(10, 20, 170, ["$dataset_prep", ".raw files, tables"], "ours"),
        box(10, 116, 170, [".$NAME.inter, items.jsonl,".replace("$", ""), ".images/"], "file"),
        box(232, 20, 206, ["$features import | extract", ".or", "$lvlm adapt, lvlm extract"], "ours"),
        box(232, 135, 206, ["feature store", ".vectors with item ids"], "file"),
        box(482, 20, 206, ["$run_recbole_sda.py", "$compare, --tune, ensemble"], "ours"),
        box(482, 116, 206, ["run folders", ".metrics, ranks, checkpoints"], "file"),
        box(740, 20, 190, ["$report", "$recommend", "$export"], "ours"),
        box(740, 135, 190, ["page, tables, figures;", "top items; item matrix"], "file"),
        arrow((95, 76), (95, 113)),
        arrow((180, 144), (210, 144), (210, 56), (229, 56)),
        arrow((335, 96), (335, 132)),
        arrow((438, 163), (460, 163), (460, 48), (479, 48)),
        arrow((585, 76), (585, 113)),
        arrow((688, 144), (710, 144), (710, 56), (737, 56)),
        arrow((835, 96), (835, 132)),
    ]
    title = (
        "dataset_prep writes a data set; features or lvlm write a feature store; run, compare and tune write run folders; report, "
        "recommend and export read them."
    )
    return drawing(940, 206, title, parts)
