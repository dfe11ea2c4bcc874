"""Sentences about the numbers of a comparison: the protocols behind them, and what is missing or doubtful."""

from functools import partial
from typing import Any, Callable, Dict, List, Sequence, Tuple

from recbole_sda.comparison.statistics import Row, seeds_of
from recbole_sda.comparison.user_metrics import GROUPS


def protocol_line(comparison: Dict[str, Any], dataset: str) -> str:
    """Return the protocol of a data set's numbers and the further protocols; rows under different ones are named with theirs."""
    rows = [row for row in comparison["rows"] if row["dataset"] == dataset]
    miniatures = dict.fromkeys(row["ran_on"] for row in rows if row["ran_on"] != dataset)
    title = f"{dataset}:" + "".join(f" THE BUILT-IN MINIATURE {name}, invented data:" for name in miniatures)
    seeds = seeds_text(comparison["seeds"])
    parts = _texts_of_rows(rows, _protocol_text)
    by_row = "" if len(parts) == 1 else " THE ROWS HAVE DIFFERENT PROTOCOLS;"
    texts = [
        f"{names}loss {' / '.join(sorted({row['protocol']['loss'] for row in group}))} | {text} | {seeds}"
        for names, text, group in parts
    ]
    line = f"{title}{by_row} {'; '.join(texts)}"
    for name in comparison.get("also", ()):
        evaluated = [row for row in rows if name in row["also"]]
        parts = _texts_of_rows(evaluated, partial(_further_text, name))
        by_row = "" if len(parts) <= 1 else "THE ROWS HAVE DIFFERENT PROTOCOLS; "
        text = "; ".join(f"{names}{text}" for names, text, _ in parts) or "no finished evaluation"
        line += f". The same runs under {name}: {by_row}{text}"
    return line


def seeds_text(seeds: Sequence[int]) -> str:
    """Return the seeds as words.

    Example:
        >>> seeds_text([1, 2]), seeds_text([2020])
        ('seeds 1, 2', 'seed 2020')
    """
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _texts_of_rows(rows: List[Row], text_of: Callable[[Row], str]) -> List[Tuple[str, str, List[Row]]]:
    """Return each distinct text with the rows that have it, after their names; without names where all have the same."""
    by_text: Dict[str, List[Row]] = {}
    for row in rows:
        by_text.setdefault(text_of(row), []).append(row)
    return [
        (f"{', '.join(row['row'] for row in group)}: " * (len(by_text) > 1), text, group)
        for text, group in by_text.items()
    ]


def _protocol_text(row: Row) -> str:
    rules, cases = row["protocol"], row["cases"]
    of_groups = "".join(f", {cases[name]} with {name} items" for name in GROUPS if name in cases)
    return f"{_evaluation_text(rules)} | epoch by {rules['selection']} | {cases['all']} users{of_groups}"


def _further_text(name: str, row: Row) -> str:
    return f"{_evaluation_text(row['also'][name]['protocol'])} | {row['cases'][name]} users"


def _evaluation_text(rules: Dict[str, Any]) -> str:
    return (
        f"{rules['split']} | {rules['evaluation']['test']} over {rules['items']} items, known items "
        f"{(rules.get('history') or {}).get('test', 'as in an earlier version')}"
    )


def reservations(comparison: Dict[str, Any], dataset: str) -> List[str]:
    """Return sentences that name rows with doubtful runs, or without all runs or evaluations; none where all is well."""
    seeds = comparison["seeds"]
    incomplete = [
        f"{row['row']}: {seeds_text(row['seeds'])} of {', '.join(map(str, seeds))}"
        for row in comparison["rows"]
        if row["dataset"] == dataset and row["seeds"] != seeds
    ]
    sentences = [
        f"{row['row']}, seed {seed}: {warning}."
        for row in comparison["rows"]
        if row["dataset"] == dataset
        for seed, warnings in row.get("warnings", {}).items()
        for warning in warnings
    ]
    if incomplete:
        sentences.append(
            "Not all runs are finished. A mean is over the row's own seeds; gains and tests use only the seeds that a row and "
            f"its base have in common. {'; '.join(incomplete)}."
        )
    for name in comparison.get("also", ()):
        few = [
            f"{row['row']}: {seeds_text(seeds_of(row, name))}" if name in row["also"] else f"{row['row']}: none"
            for row in comparison["rows"]
            if row["dataset"] == dataset and (name not in row["also"] or seeds_of(row, name) != row["seeds"])
        ]
        if few:
            sentences.append(f"Not all finished runs are evaluated under {name}: {'; '.join(few)}.")
    missing = comparison.get("without_runs", {}).get(dataset)
    if missing:
        sentences.append(
            f"Without a finished run: {', '.join(missing)}. Rows that are compared with them have no gain and no test."
        )
    return sentences
