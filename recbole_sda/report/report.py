"""The report: sections of tables and figures, as one self-contained HTML page, Markdown and LaTeX."""

import logging
from functools import partial
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple, Union

from recbole_sda import __version__
from recbole_sda.comparison.captions import protocol_line, reservations
from recbole_sda.comparison.tables import datasets_of, metric_title, notes, results_frame, tests_frame, to_latex
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.escape import markdown, markdown_table
from recbole_sda.io.html import write_html
from recbole_sda.report.collect import RUNS_TITLE, ReportData, SeedRuns, collect
from recbole_sda.report.embedding_space import NEAREST, cross_modal_recall, read_space, space_figure
from recbole_sda.report.figures import (
    FEW_HITS,
    curves_figure,
    gains_figure,
    gates_figure,
    groups_figure,
    layer_gates_figure,
)
from recbole_sda.report.frames import cold_note, cost_frame, coverage_frame, groups_frame
from recbole_sda.report.gradients import conflict_figure
from recbole_sda.report.parts import Part, Section
from recbole_sda.report.style import Figure, save, svg

logger = logging.getLogger(__name__)

PAGE, MARKDOWN, LATEX, FIGURES = "index.html", "report.md", "tables.tex", "figures"


class Report:
    """Makes the sections of a report and draws its figures into ``out/figures``.

    Args:
        data: all data that the report shows.
        out: folder of the report.
    """

    def __init__(self, data: ReportData, out: Path):
        self.data, self.figures = data, out / FIGURES
        self.figures.mkdir(parents=True, exist_ok=True)

    def sections(self) -> List[Section]:
        """Return all sections that have something to show."""
        sections = [self.results(), self.groups(), self.training(), self.space(), self.adaptation(), self.cost()]
        return [section for section in sections if section.parts]

    def _by_dataset(self) -> Iterator[Tuple[str, List[SeedRuns]]]:
        for dataset in dict.fromkeys(row.dataset for row in self.data.rows):
            yield dataset, [row for row in self.data.rows if row.dataset == dataset]

    def _figure(self, name: str, draw: Callable[..., Optional[Figure]], text: str) -> List[Part]:
        """Return a figure as a part; ``draw`` takes the number of panels side by side and returns None for no figure."""
        figure, narrow = draw(), draw(columns=1)
        if figure is None or narrow is None:
            return []
        return [Part(text, path=save(figure, self.figures / name), narrow=svg(narrow))]

    def results(self) -> Section:
        """Return the tables with gains and tests, and the gains as a figure."""
        section = Section("Results")
        for k, comparison in enumerate(self.data.comparisons):
            for dataset in datasets_of(comparison):
                text = ". ".join([protocol_line(comparison, dataset), *reservations(comparison, dataset)])
                section.parts.append(Part(text, dataset, results_frame(comparison, dataset)))
            section.parts.append(Part(notes(comparison)))
            caption = (
                "Gain over the base on test data with 95 % bootstrap intervals over users. Where an interval includes zero, "
                f"the difference may be due to chance. Gains over fewer than {FEW_HITS} hits of the base are not drawn."
            )
            section.parts += self._figure(f"gains-{k + 1}", partial(gains_figure, comparison), caption)
            tests = tests_frame(comparison)
            if len(tests):
                text = f"p-values after {comparison['correction'].title()} correction."
                section.parts.append(Part(text, "Paired tests", tests))
        return section

    def groups(self) -> Section:
        """Return metrics by popularity of items and length of histories, and the coverage of recommendations."""
        section = Section("Groups of items and users")
        for dataset, rows in self._by_dataset():
            section.parts.append(Part(cold_note(rows), dataset, groups_frame(rows, self._metrics(rows))))
            coverage = coverage_frame(rows)
            if len(coverage):
                text = (
                    "Coverage: share of all items that are recommended to at least one user. Gini index: 0 where all items are "
                    "recommended equally often."
                )
                section.parts.append(Part(text, frame=coverage))
        if self.data.rows:
            metric = self._metrics(self.data.rows)[-1]
            text = (
                "By the popularity of the right item in the training part; below each group, its number of test cases."
            )
            section.parts += self._figure("groups", partial(groups_figure, self.data.rows, metric), text)
        return section

    def _metrics(self, rows: List[SeedRuns]) -> List[str]:
        """Return Hit and NDCG at 10, or else at the middle cut-off that all rows have."""
        common = set.intersection(*({name for name in row.results[0]["test"] if "@" in name} for row in rows))
        ks = sorted({int(name.partition("@")[2]) for name in common})
        if not ks:
            names = ", ".join(dict.fromkeys(row.row for row in rows))
            raise InputError(
                f"{names} have no metric at the same cut-off; a report needs one, as topk=[10] in all runs"
            )
        k = 10 if 10 in ks else ks[len(ks) // 2]
        return [f"hit@{k}", f"ndcg@{k}"]

    def training(self) -> Section:
        """Return the learning curves, the entropy of CMSA's targets, and the gates."""
        section, rows = Section("Training"), self.data.rows
        if rows:
            metric = self._metrics(rows)[-1]
            text = "Validation metric by epoch. Thin lines: single seeds. Thick lines: mean over the epochs that all seeds have."
            draw = partial(curves_figure, rows, "valid", metric, f"validation {metric_title(metric)}")
            section.parts += self._figure("curves", draw, text)
            text = (
                "Entropy of CMSA's targets in nats. At 0, each target is the item itself, as in InfoNCE; at log(batch size), the "
                "teacher gives all items the same weight."
            )
            draw = partial(curves_figure, rows, "train", "cmsa/target_entropy", "target entropy, nats")
            section.parts += self._figure("entropy", draw, text)
            text = "Weight of each expert in the item encoder's low-rank map, by modality, after the last epoch."
            section.parts += self._figure("gates", partial(gates_figure, rows), text)
        return section

    def space(self) -> Section:
        """Return the embedding space of the first run with two modalities of each data set."""
        section = Section("Images and texts in the embedding space")
        for dataset, rows in self._by_dataset():
            section.parts += self._space_of_first(dataset, rows, f"space-{len(section.parts) + 1}")
        return section

    def _space_of_first(self, dataset: str, rows: List[SeedRuns], name: str) -> List[Part]:
        for row in rows:
            if not row.results[0].get("features") or row.results[0]["features"].get("shuffled"):
                continue
            try:
                space = read_space(row.folders[0])
            except InputError as error:  # the data may have been moved
                return [Part(f"{row.row} on {dataset} is not shown: {error}.")]
            if space is None:
                continue
            image, text = space.after[:2]
            a, b = space.names[:2]
            caption = (
                f"{row.row} on {dataset}, {len(image)} items, principal components of unit vectors. After the encoder, "
                f"{cross_modal_recall(image, text):.0%} of the items have their own {b} among the {NEAREST} nearest to their "
                f"{a} (by chance {NEAREST / len(image):.0%})."
            )
            return self._figure(name, partial(space_figure, space, f"{row.row}, {dataset}"), caption)
        return []

    def adaptation(self) -> Section:
        """Return the gates of adapted LVLMs and the gradient conflict."""
        section = Section("Adaptation of the vision-language model")
        for k, (folder, record) in enumerate(self.data.adaptations.items()):
            best = record.get("best") or {}
            numbers = {name: value for name, value in best.items() if isinstance(value, (int, float))}
            scores = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            text = (
                f"{folder}: weight of each expert by layer and modality. Best evaluation on held-out items: {scores}."
            )
            section.parts += self._figure(f"layer-gates-{k + 1}", partial(layer_gates_figure, record), text)
        for k, path in enumerate(self.data.gradients):
            text = (
                f"{path}: cosine of the gradients of the image pass and the text pass; below zero, the two gradients have "
                "opposite directions."
            )
            section.parts += self._figure(f"gradients-{k + 1}", partial(conflict_figure, path), text)
        return section

    def cost(self) -> Section:
        """Return time, memory and number of parameters."""
        section = Section("Cost")
        for dataset, rows in self._by_dataset():
            text = "Times depend on the machine and its load; compare only runs that were made on one machine in one session."
            section.parts.append(Part(text, dataset, cost_frame(rows)))
        return section


def write_report(folders: Sequence[Union[str, Path]], out: Union[str, Path], title: Optional[str] = None) -> Path:
    """Write a report on folders of comparisons, runs, adaptations and gradient measurements.

    Args:
        folders: see :func:`recbole_sda.report.collect.collect`.
        out: folder of ``index.html``, ``report.md``, ``tables.tex`` and ``figures/``.
        title: title of the page; None: those of the comparisons, or the models and the data sets.

    Returns:
        Path of the page.

    Raises:
        InputError: ``out`` is a file, a folder has nothing to report on, or the runs have no metric in common.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out={out}: is a file; expected a folder")
    data = collect(folders)
    sections = Report(data, out).sections()
    title = title or _default_title(data)
    about = data.comparisons[0]["about"] if len(data.comparisons) == 1 else ""
    template = Path(__file__).with_name("page.html")
    write_html(template, out / PAGE, title=title, about=about, sections=sections, version=__version__)
    write_text(out / MARKDOWN, _markdown(title, about, sections))
    write_text(out / LATEX, "\n".join(map(to_latex, data.comparisons)))
    return out / PAGE


def _default_title(data: ReportData) -> str:
    """Return the titles of the comparisons; for runs, their models and data sets."""
    titles = [comparison["title"] for comparison in data.comparisons if comparison["title"] != RUNS_TITLE]
    if titles:
        return " / ".join(titles)
    if not data.rows:
        return "Adaptation of a vision-language model"
    names, datasets = ([*dict.fromkeys(words)] for words in zip(*((row.row, row.dataset) for row in data.rows)))
    return f"{_few(names, 'models')} on {_few(datasets, 'data sets')}"


def _few(names: List[str], kind: str) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} {kind}"


def _markdown(title: str, about: str, sections: List[Section]) -> str:
    blocks = [f"# {markdown(title)}", markdown(about)]
    for section in sections:
        blocks.append(f"## {section.title}")
        for part in section.parts:
            blocks.append(f"### {markdown(part.heading)}" if part.heading else "")
            if part.frame is not None:
                blocks.append(markdown_table(part.frame, disable_numparse=True))
            if part.path is not None:
                blocks.append(f"![{markdown(part.text)}]({FIGURES}/{part.path.name})")
            blocks.append(markdown(part.text))
    return "\n\n".join(block for block in blocks if block) + "\n"
