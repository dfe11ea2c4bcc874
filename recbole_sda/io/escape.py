"""Texts from data and from files of other people, inside CSV, Markdown and LaTeX: they are shown and never interpreted.

HTML pages escape every value by themselves, see :mod:`recbole_sda.io.html`.
"""

import re
from typing import Any

import pandas as pd

FORMULA = re.compile(r"^[\s]*[=+\-@]|^[\t\r\n]")  # what spreadsheets take for the beginning of a formula
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
LINK = re.compile(r"[\[\]](?=[^\[\]]*\]?\()")
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def csv_cell(value: Any) -> Any:
    """Return a value for a CSV file: a text that a spreadsheet would compute gets an apostrophe in front, numbers stay.

    Example:
        >>> [csv_cell(value) for value in ("=1+1", "@SUM(A1)", "-5", "B01", 3.5)]
        ["'=1+1", "'@SUM(A1)", '-5', 'B01', 3.5]
    """
    if isinstance(value, str) and FORMULA.search(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def csv_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts are :func:`csv_cell` of those of ``frame``."""
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.assign(**{name: frame[name].map(csv_cell) for name in texts})


def one_line(text: str) -> str:
    """Return a text on one line: what cannot be printed, such as line breaks and codes of terminals, becomes a blank."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def markdown(text: str) -> str:
    """Return a text for a line of Markdown: without tags, links and line breaks.

    Example:
        >>> markdown("<b>x</b> [y](javascript:z)")
        '&lt;b&gt;x&lt;/b&gt; \\\\[y\\\\](javascript:z)'
    """
    return LINK.sub(lambda match: f"\\{match.group()}", one_line(text).replace("<", "&lt;").replace(">", "&gt;"))


def markdown_table(frame: pd.DataFrame, **options: Any) -> str:
    """Return a table of texts in Markdown; a bar does not begin a cell. ``options`` are those of pandas."""

    def cell(value: Any) -> Any:
        return markdown(value).replace("|", "\\|") if isinstance(value, str) else value

    columns = {name: frame[name].map(cell) for name in frame}
    table: str = pd.DataFrame(columns).rename(columns=cell).to_markdown(index=False, **options)
    return table


def latex(text: str) -> str:
    r"""Return a text for LaTeX.

    Example:
        >>> latex("50 % of $x_1$")
        '50 \\% of \\$x\\_1\\$'
    """
    return "".join(LATEX.get(c, c) for c in one_line(text))
