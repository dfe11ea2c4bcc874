"""Texts of shop pages: without HTML, escapes and line breaks, and without the program code that some exports hold."""

import html
import re
from html.parser import HTMLParser
from typing import Any, List, Tuple

from recbole_sda.io.ids import is_missing

ELEMENTS = frozenset(
    "a abbr address area article aside audio b base bdi bdo big blockquote body br button canvas caption center cite "
    "code col colgroup data dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure font footer "
    "form frame frameset h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins kbd label legend li link main "
    "map mark marquee menu meta nav nobr noscript object ol optgroup option p param picture pre q s samp script "
    "section select small source span strike strong style sub summary sup table tbody td template textarea tfoot th "
    "thead time title tr track tt u ul var video wbr".split()
)
SKIPPED = ("script", "style")  # elements whose content is not text
MAX_PASSES = 3  # texts may be escaped more than once: &amp;lt;b&amp;gt;
# A call of getTime, a function, an assignment to a variable; a rule of a style sheet
CODE = re.compile(
    r"\bgetTime\s*\(|\bfunction\s*\w*\s*\([\w\s,]*\)\s*\{|\bvar\s+\w+\s*=[^=]*;|[\w\])-]\s*\{\s*[a-z-]+\s*:[^{}]*\}"
)


class _Text(HTMLParser):
    """Collects the text of a page. A tag becomes a blank; ``<`` before anything but the name of an element is text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: List[str] = []
        self.skipped: List[str] = []  # open elements whose content is not text

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Any]]) -> None:
        if tag not in ELEMENTS:
            self.parts.append(self.get_starttag_text() or "")
            return
        self.parts.append(" ")
        if tag in SKIPPED:
            self.skipped.append(tag)

    def handle_startendtag(self, tag: str, attrs: List[Tuple[str, Any]]) -> None:
        self.parts.append(" " if tag in ELEMENTS else self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.skipped:
            self.skipped.remove(tag)
        self.parts.append(" " if tag in ELEMENTS else f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.parts.append(data)


def without_html(text: str) -> str:
    """Return the text of HTML: tags, comments, scripts and style sheets are left out, escapes are resolved.

    Example:
        >>> without_html("Tom&#39;s <b>drum</b><br>for waist <30 in and chest >20 in")
        "Tom's  drum  for waist <30 in and chest >20 in"
    """
    for _ in range(MAX_PASSES):
        if "<" not in text and "&" not in text:
            break
        parser = _Text()
        parser.feed(text)
        # What is left may begin a tag that does not end: it is text as well. HTMLParser.close() differs between Python versions.
        rest = "" if parser.skipped else html.unescape(parser.rawdata)
        found = "".join(parser.parts) + rest
        if found == text:
            break
        text = found
    return text


def clean(value: Any) -> str:
    """Return a text without HTML and line breaks.

    Lists are joined by blanks, objects as ``name: value``; a missing value is an empty text.
    """
    if isinstance(value, dict):
        value = [f"{name}: {text}" for name, text in ((n, clean(v)) for n, v in value.items()) if text]
    if isinstance(value, (list, tuple)):
        return " ".join(filter(None, map(clean, value)))
    return "" if is_missing(value) else " ".join(without_html(str(value)).split())


def is_code(text: str) -> bool:
    """Return whether a text has program code or rules of a style sheet in it, which a damaged export took for the text.

    Example:
        >>> is_code("var aPageStart = (new Date()).getTime();"), is_code(".box{color:#c45500;font-size:13px}")
        (True, True)
        >>> is_code("Set {12 pieces}: red; size: 3"), is_code("The function of a drum")
        (False, False)
    """
    return CODE.search(text) is not None
