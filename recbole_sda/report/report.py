"""The report: sections of tables and pictures, as one self-contained page, Markdown and LaTeX."""

import base64
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional, Sequence

import pandas as pd

from recbole_sda import __version__
from recbole_sda.comparison.tables import (
    metric_title,
    notes,
    protocol_line,
    results_frame,
    tests_frame,
    to_latex,
    unfinished,
)
from recbole_sda.errors import InputError
from recbole_sda.io.html import write_html
from recbole_sda.report.collect import Line, Material, collect
from recbole_sda.report.embedding_space import NEAREST, found_share, read_space, space_figure
from recbole_sda.report.figures import curves_figure, gains_figure, gates_figure, groups_figure, layer_gates_figure
from recbole_sda.report.frames import cold_note, cost_frame, groups_frame, spread_frame
from recbole_sda.report.gradients import conflict_figure
from recbole_sda.report.style import Figure, save

logger = logging.getLogger(__name__)

PAGE, MARKDOWN, LATEX, FIGURES = "index.html", "report.md", "tables.tex", "figures"


@dataclass
class Part:
    """A table or a picture with its text; a part of text alone has neither."""

    text: str = ""
    heading: str = ""
    frame: Optional[pd.DataFrame] = None
    path: Optional[Path] = None

    @property
    def figure(self) -> Optional[str]:
        """The picture as a data address."""
        if self.path is None:
            return None
        return "data:image/svg+xml;base64," + base64.b64encode(self.path.read_bytes()).decode()


@dataclass
class Section:
    """A heading and what stands below it."""

    title: str
    parts: List[Part] = field(default_factory=list)


class Report:
    """Makes the sections of a report and draws its pictures into ``out/figures``."""

    def __init__(self, material: Material, out: Path):
        self.material, self.figures = material, out / FIGURES
        self.figures.mkdir(parents=True, exist_ok=True)

    def sections(self) -> List[Section]:
        """Return all sections that have something to show."""
        made = [self.results(), self.groups(), self.training(), self.space(), self.stage(), self.cost()]
        return [section for section in made if section.parts]

    def _by_dataset(self):
        for dataset in dict.fromkeys(line.dataset for line in self.material.lines):
            yield dataset, [line for line in self.material.lines if line.dataset == dataset]

    def _picture(self, name: str, figure: Optional[Figure], text: str) -> List[Part]:
        return [] if figure is None else [Part(text, path=save(figure, self.figures / name))]

    def results(self) -> Section:
        """Tables with gains and tests, and the gains as a picture."""
        section = Section("Results")
        for k, found in enumerate(self.material.comparisons):
            for dataset in dict.fromkeys(line["dataset"] for line in found["rows"]):
                text = ". ".join([protocol_line(found, dataset), *unfinished(found, dataset)])
                section.parts.append(Part(text, dataset, results_frame(found, dataset)))
            section.parts.append(Part(notes(found)))
            caption = (
                "Gain over the base on test data with 95 % bootstrap intervals over users; an interval across the line is "
                "no difference that could be told from chance."
            )
            section.parts += self._picture(f"gains-{k + 1}", gains_figure(found), caption)
            tests = tests_frame(found)
            if len(tests):
                section.parts.append(Part(f"p-values after {found['correction']} correction.", "Paired tests", tests))
        return section

    def groups(self) -> Section:
        """Popularity of items, length of histories, spread of recommendations."""
        section = Section("Groups of items and users")
        for dataset, lines in self._by_dataset():
            metrics = self._metrics(lines)
            section.parts.append(Part(cold_note(lines), dataset, groups_frame(lines, metrics)))
            spread = spread_frame(lines)
            if len(spread):
                text = "Coverage: share of the catalogue that is recommended to anybody. Gini: 0 where all items are alike often."
                section.parts.append(Part(text, frame=spread))
        if self.material.lines:
            metric = self._metrics(self.material.lines)[-1]
            text = "By the popularity of the right item in the training part; the number of test cases stands below each group."
            section.parts += self._picture("groups", groups_figure(self.material.lines, metric), text)
        return section

    def _metrics(self, lines: List[Line]) -> List[str]:
        """Return Hit and NDCG at the middle cut-off that all lines have."""
        found = set.intersection(*({name for name in line.results[0]["test"] if "@" in name} for line in lines))
        ks = sorted({int(name.partition("@")[2]) for name in found})
        if not ks:
            rows = ", ".join(dict.fromkeys(line.row for line in lines))
            raise InputError(f"{rows} have no metric at the same cut-off; a report needs one, as topk=[10] in all runs")
        k = 10 if 10 in ks else ks[len(ks) // 2]
        return [f"hit@{k}", f"ndcg@{k}"]

    def training(self) -> Section:
        """Learning curves, entropy of the targets of CMSA, gates."""
        section, lines = Section("Training"), self.material.lines
        if lines:
            metric = self._metrics(lines)[-1]
            text = (
                "Validation metric by epoch: mean of the seeds up to the first that stopped, thin lines for each seed."
            )
            figure = curves_figure(lines, "valid", metric, f"validation {metric_title(metric)}")
            section.parts += self._picture("curves", figure, text)
            text = (
                "Entropy of CMSA's targets (nats). At zero each target is the item itself, as in InfoNCE; at log(batch) "
                "the teacher tells nothing apart."
            )
            figure = curves_figure(lines, "train", "cmsa/target_entropy", "target entropy, nats")
            section.parts += self._picture("entropy", figure, text)
            text = "Share of each expert in the item encoder's low-rank map, by modality, after the last epoch."
            section.parts += self._picture("gates", gates_figure(lines), text)
        return section

    def space(self) -> Section:
        """The plane of pictures and texts of the first run of each data set that has both."""
        section = Section("Pictures and texts in the embedding space")
        for dataset, lines in self._by_dataset():
            for line in lines:
                if not line.results[0].get("features") or line.results[0]["features"].get("shuffled"):
                    continue
                try:
                    space = read_space(line.folders[0])
                except InputError as error:  # the data may be elsewhere by now
                    section.parts.append(Part(f"{line.row} on {dataset} is not shown: {error}."))
                    break
                if space is None:
                    continue
                share, n = found_share(*space.after[:2]), len(space.after[0])
                a, b = space.names[:2]
                text = (
                    f"{line.row} on {dataset}, {n} items, principal components of unit vectors. After the encoder, {share:.0%} "
                    f"of the items have their own {b} among the {NEAREST} nearest to their {a} (by chance {NEAREST / n:.0%})."
                )
                name = f"space-{len(section.parts) + 1}"
                section.parts += self._picture(name, space_figure(space, f"{line.row}, {dataset}"), text)
                break
        return section

    def stage(self) -> Section:
        """Gates of adapted LVLMs and gradient conflict."""
        section = Section("Adaptation of the vision-language model")
        for k, (folder, record) in enumerate(self.material.adaptations.items()):
            best = record.get("best") or {}
            figures = ", ".join(
                f"{name} {value:.4g}" for name, value in best.items() if isinstance(value, (int, float))
            )
            text = (
                f"{folder}: share of each expert by layer and modality. Best evaluation on held-out items: {figures}."
            )
            section.parts += self._picture(f"layer-gates-{k + 1}", layer_gates_figure(record), text)
        for k, path in enumerate(self.material.gradients):
            text = f"{path}: cosine of the gradients of the image and the text pass; below zero one undoes the other."
            section.parts += self._picture(f"gradients-{k + 1}", conflict_figure(path), text)
        return section

    def cost(self) -> Section:
        """Time, memory and parameters."""
        section = Section("Cost")
        for dataset, lines in self._by_dataset():
            text = "Times are of the machine's load too; compare them within one machine and one session."
            section.parts.append(Part(text, dataset, cost_frame(lines)))
        return section


def write_report(folders: Sequence[str], out, title: Optional[str] = None) -> Path:
    """Write a report on folders of comparisons, runs, adaptations and gradient measures.

    Args:
        folders: see :func:`recbole_sda.report.collect.collect`.
        out: folder of ``index.html``, ``report.md``, ``tables.tex`` and ``figures/``.
        title: of the page; None takes the comparison's.

    Returns:
        The page's path.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out={out}: is a file; expected a folder")
    material = collect(folders)
    sections = Report(material, out).sections()
    comparisons = material.comparisons
    title = title or (comparisons[0]["title"] if len(comparisons) == 1 else "Report")
    about = comparisons[0]["about"] if len(comparisons) == 1 else ""
    template = Path(__file__).with_name("page.html")
    write_html(template, out / PAGE, title=title, about=about, sections=sections, version=__version__)
    (out / MARKDOWN).write_text(_markdown(title, about, sections), encoding="utf-8")
    (out / LATEX).write_text("\n".join(map(to_latex, comparisons)), encoding="utf-8")
    return out / PAGE


def _markdown(title: str, about: str, sections: List[Section]) -> str:
    blocks = [f"# {title}", about]
    for section in sections:
        blocks.append(f"## {section.title}")
        for part in section.parts:
            blocks.append(f"### {part.heading}" if part.heading else "")
            if part.frame is not None:
                blocks.append(part.frame.to_markdown(index=False, disable_numparse=True))
            if part.path is not None:
                blocks.append(f"![{part.text}]({FIGURES}/{part.path.name})")
            blocks.append(part.text)
    return "\n\n".join(block for block in blocks if block) + "\n"
