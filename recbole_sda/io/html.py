"""Self-contained HTML pages from templates."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from recbole_sda.io.atomic_write import write_text


def data_url(kind: str, content: bytes) -> str:
    """Return content of a MIME type as a data URL, which a page holds in place of a file.

    Example:
        >>> data_url("text/csv", b"a,b")
        'data:text/csv;base64,YSxi'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def write_html(template: Path, out: Path, **values: Any) -> Path:
    """Fill a template, escape every value, write the page atomically and return its path."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    text = environment.from_string(template.read_text(encoding="utf-8")).render(**values)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    return out
