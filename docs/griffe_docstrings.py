"""An extension of griffe: docstrings of this project in the form that the site's API reference expects."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`~?([^`]+)`")
EXAMPLE = re.compile(r"^(\s*)Example:$", re.MULTILINE)


class PlainDocstrings(griffe.Extension):
    """Replaces Sphinx's roles by code, and names examples as griffe does."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            text = ROLE.sub(lambda match: f"`{match[1].removeprefix('recbole_sda.')}`", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", text)
