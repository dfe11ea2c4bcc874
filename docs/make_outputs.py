"""Makes every figure, table and printed output of the documentation that comes from this project's own code and built-in data.

``python docs/make_outputs.py`` runs the commands (minutes), stores what they print in docs/outputs/, draws the figures and fills in
the pages. With ``--stored`` it starts from docs/outputs/ (seconds). With ``--check`` it writes nothing and names what has drifted.

In a page, a printed output follows the comment ``<!-- output: NAME -->``, as a fenced block or a table. After
``<!-- excerpt: NAME -->``, each line of the block must occur in the output; ``...`` marks omitted lines, and nothing is filled in.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

from recbole_sda.io.yaml import read_yaml
from recbole_sda.model.model_table import BASE_MODELS, ENSEMBLES, MULTIMODAL, NEIGHBOURS
from recbole_sda.report.figures import gains_figure

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

from diagrams import method, pipeline  # noqa: E402
from page_figures import as_svg, learning_figure, real_data_figure, speed_figure  # noqa: E402

MODEL = ["run_recbole_sda.py", "--dataset=Amazon_Sports"]
STORE = "dataset/Amazon_Sports-sample/features/light"
# Name of an output -> the command that prints it, or that writes the file, and the words with which the shown part begins.
COMMANDS: Dict[str, Sequence[Any]] = {
    "run": ([*MODEL, "--model=SASRec_SDA", "--run_dir=runs/first"], "SASRec_SDA on "),
    "inspect": (["-m", "recbole_sda", "features", "inspect", STORE], "dataset/"),
    "recommend": (
        ["-m", "recbole_sda", "recommend", "runs/first", "--users=U00000", "--k=3", "--out=top.csv"],
        "user_id",
        "top.csv",
    ),
    "base": ([*MODEL, "--model=SASRec"], "SASRec on "),
    "control": ([*MODEL, "--model=SASRec_SDA", "--shuffle_features=True"], "SASRec_SDA on "),
    "lvlm_demo": (["-m", "recbole_sda", "lvlm", "demo"], "qwen2_5_vl: "),
    "compare": (["-m", "recbole_sda", "compare", "miniature"], "| model"),
}
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")
TIME = re.compile(r"^\d\d:\d\d:\d\d (?:INFO )?", re.MULTILINE)
PROGRESS = re.compile(r"\w+: \d+ of \d+ steps")
SECONDS = re.compile(r"\d+\.\d+ s\b")
TOLERANCE = 0.05  # of a value, or of 1 for values below 1: other processors and libraries move training
MARKER = re.compile(
    r"(<!-- (output|excerpt): (\w+) -->\n+)((?: *```\w*\n(?:[^\n]*\n)*? *```\n)|(?:\|[^\n]*\n)*)"  # a block of code, or a table
)


def collect(out: Path) -> None:
    """Run all commands in an empty folder and store what they print; the comparison also as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        # One thread: sums, and with them the hashes of vectors, depend on their number.
        alike = {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **alike}
        for name, (words, start, *file) in COMMANDS.items():
            words = [str(ROOT / word) if word.endswith(".py") else word for word in words]
            done = subprocess.run(
                [sys.executable, *words],
                cwd=folder,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            if done.returncode:
                raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
            (out / f"{name}.txt").write_text(
                _shown(Path(folder, *file).read_text() if file else TIME.sub("", done.stdout), start), encoding="utf-8"
            )
        comparison = json.loads(Path(folder, "runs/compare/miniature/comparison.json").read_text())
    for row in comparison["rows"]:
        row.update(runs=[], cost={})
    (out / "comparison.json").write_text(json.dumps(comparison, indent=1, sort_keys=True) + "\n")


def _shown(printed: str, start: str) -> str:
    """Return the printed lines from the last one that begins with ``start``, without those of progress; a table up to its end."""
    lines = [line for line in printed.rstrip().split("\n") if not PROGRESS.match(line)]
    first = max(k for k, line in enumerate(lines) if line.startswith(start))
    rest = lines[first:]
    if start.startswith("|"):
        rest = rest[: next((k for k, line in enumerate(rest) if not line.startswith("|")), None)]
    return SECONDS.sub("... s", "\n".join(line.rstrip() for line in rest)) + "\n"


def render(out: Path, stored: Path) -> List[Path]:
    """Write the diagrams, figures, the list of models and the filled-in pages below ``out``; return their paths.

    Args:
        out: a folder that gets the same layout as the repository.
        stored: folder of the printed outputs.
    """
    comparison = json.loads((stored / "comparison.json").read_text())
    files = {
        "docs/method.svg": method(),
        "docs/pipeline.svg": pipeline(),
        "docs/figures/gains.svg": as_svg(gains_figure(comparison)),
        "docs/figures/real_data.svg": as_svg(real_data_figure()),
        "docs/figures/speed.svg": as_svg(speed_figure()),
        "docs/figures/learning.svg": as_svg(learning_figure()),
        "docs/model_list.md": model_list(),
    }
    for page in [*DOCS.glob("*.md"), ROOT / "README.md"]:
        text = page.read_text(encoding="utf-8")
        filled = MARKER.sub(lambda match: _fill(match, stored), text)
        if filled != text or MARKER.search(text):
            files[str(page.relative_to(ROOT))] = filled
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [out / name for name in files]


def _fill(match: "re.Match[str]", stored: Path) -> str:
    comment, kind, name, block = match.groups()
    if kind == "excerpt":
        return match[0]
    text = (stored / f"{name}.txt").read_text(encoding="utf-8")
    return comment + (text if text.startswith("|") else f"```text\n{text}```\n")


def model_list() -> str:
    """Return the page with one line per model of the model table, from docs/papers.yaml."""
    papers = read_yaml(DOCS / "papers.yaml")
    families = {
        "Sequential": [name for name, spec in BASE_MODELS.items() if spec.family == "sequential"],
        "General": [name for name, spec in BASE_MODELS.items() if spec.family == "general"],
        "Multimodal": list(MULTIMODAL),
        "Without training": list(NEIGHBOURS),
        "Ensembles": list(ENSEMBLES),
    }
    about = {
        "Sequential": "Models of RecBole that read the order of the interactions.",
        "General": "Models of RecBole that do not read the order.",
        "Multimodal": "Models of this package that read features by design.",
        "Without training": "Neighbourhoods of this package. They have no SDA version.",
        "Ensembles": "Of finished runs, see [experiments](experiments.md). They have no SDA version.",
    }
    known = [name for names in families.values() for name in names]
    if set(known) != set(papers):
        raise SystemExit(f"docs/papers.yaml and the model table differ: {', '.join(sorted(set(known) ^ set(papers)))}")
    parts = [
        "# All models",
        "Each model of the first three sections also runs as `<name>_SDA`. [Which model to use](models.md) recommends some by "
        "purpose. RecBole's other models run through the same command. `--help` lists them, and the reasons why they have no SDA "
        "version.",
    ]
    for family, names in families.items():
        parts += [f"## {family}", about[family]]
        rows = ["| Model | Year | Idea |", "| --- | --- | --- |"]
        for name in names:
            year, link, line = papers[name]
            rows.append(f"| {f'[{name}]({link})' if link else name} | {year or ''} | {line} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def numbers_agree(shown: str, made: str) -> bool:
    """Return whether two texts are equal except for numbers within :data:`TOLERANCE`.

    Example:
        >>> numbers_agree("hit@10 0.37 of 1,000", "hit@10 0.38 of 1,001"), numbers_agree("hit 0.37", "hit 0.47")
        (True, False)
        >>> numbers_agree("hit 0.37", "ndcg 0.37")
        False
    """

    def words(text: str) -> str:
        return re.sub(r"[\s|:-]+", " ", NUMBER.sub("#", text).replace("*", "").replace("(best)", "")).strip()

    pairs = zip(*([float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (shown, made)))
    return words(shown) == words(made) and all(abs(a - b) <= TOLERANCE * max(1, abs(a)) for a, b in pairs)


def excerpts_that_drifted(stored: Path) -> List[str]:
    """Return a line for each line of an excerpt that its output does not have."""
    wrong = []
    for page in [*DOCS.glob("*.md"), ROOT / "README.md"]:
        for _, kind, name, block in MARKER.findall(page.read_text(encoding="utf-8")):
            made = (stored / f"{name}.txt").read_text(encoding="utf-8").split("\n")
            for line in block.strip().split("\n")[1:-1] if kind == "excerpt" else ():
                if line.strip() != "..." and not any(numbers_agree(line.strip(), other) for other in made):
                    wrong.append(f"{page.name}: {line.strip()}: not in the output {name}")
    return wrong


def drifted(stored: Path, fresh: bool) -> List[str]:
    """Return a line for each file that would change, after new runs if ``fresh``."""
    with tempfile.TemporaryDirectory() as folder:
        if fresh:
            collect(Path(folder))
            wrong = [
                f"docs/outputs/{path.name}"
                for path in sorted(Path(folder).iterdir())
                if not numbers_agree((stored / path.name).read_text(), path.read_text())
            ]
        else:
            made = render(Path(folder), stored)
            names = [path.relative_to(folder) for path in made]
            wrong = [str(name) for name, path in zip(names, made) if not _same(ROOT / name, path)]
    return wrong + excerpts_that_drifted(stored)


def _same(path: Path, made: Path) -> bool:
    """Return whether a file is as it was made; figures may differ in the last digits, as with another matplotlib."""
    if not path.is_file():
        return False
    old, new = path.read_text(encoding="utf-8"), made.read_text(encoding="utf-8")
    return old == new or ("figures" in path.parts and numbers_agree(old, new))


def main() -> int:
    """Make or check the outputs; return 1 if a checked one has drifted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stored", action="store_true", help="start from docs/outputs/ and run no command")
    parser.add_argument("--check", action="store_true", help="write nothing, and end with 1 if something has drifted")
    args = parser.parse_args()
    stored = DOCS / "outputs"
    if args.check:
        wrong = drifted(stored, fresh=not args.stored)
        print("\n".join(f"drifted: {line}" for line in wrong) or "all outputs are up to date")
        return 1 if wrong else 0
    stored.mkdir(exist_ok=True)
    if not args.stored:
        collect(stored)
    for path in render(ROOT, stored):
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
