"""The English of what people read: words that CONTRIBUTING.md excludes, decimals without a zero, code lines that are cut off."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("[!v]*.md")),
]
YAML = sorted((ROOT / "properties").rglob("*.yaml"))
WORDS = re.compile(
    r"\b(says? (so|that|what|which|nothing|little|otherwise)|tells?|lives? (on|in)|stands? (on|in|beside)|"
    r"pictures? (and|or|of)|the house|simply|obviously|of course|easily|utilize|leverage|in order to|a number of|"
    r"blazing|seamless|powerful|state-of-the-art)\b",
    re.IGNORECASE,
)
NO_ZERO = re.compile(r"(?<![\w.*/@])\.\d{2,}\b")
WIDTH = 110  # of a line of code; a code host and the site show about as much on a wide screen


def prose(text: str) -> str:
    """Return a page without its code."""
    return re.sub(r"^ *```.*?^ *```$|`[^`\n]+`", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages(path):
    text = prose(path.read_text(encoding="utf-8"))
    assert not WORDS.findall(text), sorted({match[0] for match in WORDS.finditer(text)})
    assert not NO_ZERO.findall(text)


def test_the_style_list_is_the_one_that_is_tested():
    listed = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    examples = " ".join(listed).replace("say,", "say so").replace("live,", "live in").replace("stand,", "stand in")
    assert len(listed) >= 10 and len(WORDS.findall(examples)) >= 10


def test_comments_of_keys():
    for path in YAML:
        assert not WORDS.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "words", [["--help"], ["compare", "--help"], ["recommend", "--help"], ["lvlm", "--help"]], ids=" ".join
)
def test_help(words):
    done = subprocess.run([sys.executable, "-m", "recbole_sda", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and not WORDS.search(done.stdout), WORDS.findall(done.stdout)


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_lines_of_code_are_not_cut_off(path):
    blocks = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for indent, language, block in blocks:
        long = [line for line in block.split("\n") if len(line) - len(indent) > WIDTH]
        assert language == "text" or not long, long
        assert not re.search(r"^\| ?-+ ?\|", block, re.MULTILINE), "a table in a code block"
