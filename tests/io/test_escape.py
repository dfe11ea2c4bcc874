"""Names from outside in CSV, Markdown and LaTeX."""

import pandas as pd
import pytest

from recbole_sda.io.escape import csv_cell, latex, markdown, markdown_table


@pytest.mark.parametrize("text", ["=1", "+x", "-x", "@x", "\t=1", " =1", "\r=1", "\n@x", "-1+cmd|' /C calc'!A0"])
def test_formulas(text):
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["", "a=1", "-1", "+1.5e-3", "-.5", -1, None, "B=", "'=1"])
def test_no_formulas(value):
    assert csv_cell(value) == value


def test_markdown():
    assert markdown("a\n\n<b>x</b>\x1b[31m") == "a  &lt;b&gt;x&lt;/b&gt; [31m"
    assert markdown("[x](javascript:y) [0.8, 0.1] ![z](w)") == "\\[x\\](javascript:y) [0.8, 0.1] !\\[z\\](w)"
    table = markdown_table(pd.DataFrame({"model": ["a | b\n| c", "<script>"], "<x>": [1.5, 2.0]}))
    assert len(table.splitlines()) == 4 and "a \\| b \\| c" in table and "<" not in table


def test_latex():
    assert latex("\\input{/etc/passwd}\n$x^2$~") == (
        r"\textbackslash{}input\{/etc/passwd\} \$x\textasciicircum{}2\$\textasciitilde{}"
    )
