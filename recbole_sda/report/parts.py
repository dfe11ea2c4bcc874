"""Parts of a report: sections, tables and figures, and their forms as data URLs in the page."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional

import pandas as pd

from recbole_sda.io.escape import csv_frame
from recbole_sda.io.html import data_url


@dataclass
class Part:
    """A table or a figure with its text, or a text alone.

    Attributes:
        text: caption of the table or figure, or the text.
        heading: heading above it; empty: none.
        frame: the table.
        path: SVG file of the figure.
        narrow: the same figure with one panel per line, as SVG, for small screens.
    """

    text: str = ""
    heading: str = ""
    frame: Optional[pd.DataFrame] = None
    path: Optional[Path] = None
    narrow: bytes = b""

    @property
    def figure(self) -> Optional[str]:
        """The figure as a data URL."""
        return None if self.path is None else data_url("image/svg+xml", self.path.read_bytes())

    @property
    def narrow_figure(self) -> str:
        """The narrow figure as a data URL."""
        return data_url("image/svg+xml", self.narrow)

    @property
    def csv(self) -> Optional[str]:
        """The table as a data URL of a CSV file."""
        if self.frame is None:
            return None
        return data_url("text/csv", csv_frame(self.frame).to_csv(index=False).encode())


@dataclass
class Section:
    """A heading and the parts below it."""

    title: str
    parts: List[Part] = field(default_factory=list)

    def file_name(self, part: Part) -> str:
        """Return the name under which a table of the section is downloaded.

        Example:
            >>> Section("Cost").file_name(Part(heading="Amazon_Sports"))
            'cost-amazon_sports.csv'
        """
        words = re.sub(r"\W+", "-", f"{self.title} {part.heading}".lower()).strip("-")
        return f"{words}.csv"
