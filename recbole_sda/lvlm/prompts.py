"""Prompts: what a model reads about an item, made from the item's fields."""

import string
from typing import Dict, List, Mapping, Sequence

from recbole_sda.errors import InputError, nearest

ALL = "fields"  # {fields} stands for every field, one per line


class Prompt:
    """A template over the fields of an item.

    A name in braces stands for that field; ``{fields}`` for every field, one per line as ``name: value``. A line of the
    template whose named fields the item all lacks is left out, so that no label stands alone.

    Args:
        template: the text.
        fields: names of the fields that items have.
        words: field -> most words of it that are kept.

    Raises:
        InputError: the template is not one, or names a field that no item has.
    """

    def __init__(self, template: str, fields: Sequence[str], words: Mapping[str, int]):
        self.fields, self.words = list(fields), dict(words)
        for name in [*words, *(name for line in template.splitlines() for name in _names(line))]:
            if name != ALL and name not in self.fields:
                known = ", ".join(self.fields) or "none"
                raise InputError(
                    f"prompt: no item has the field {name!r}; there is {known}.{nearest(name, self.fields)}"
                )
        self.lines = [(line, _names(line)) for line in template.splitlines()]

    @property
    def names_fields(self) -> bool:
        """Whether the prompt says anything of the item."""
        return any(names for _, names in self.lines)

    def __call__(self, item: Mapping) -> str:
        """Return the prompt of an item; empty where it names fields and the item has none of them."""
        values: Dict[str, str] = {name: self._value(item, name) for name in self.fields}
        values[ALL] = "\n".join(f"{name}: {values[name]}" for name in self.fields if values[name])
        parts: List[str] = []
        found = False
        for line, names in self.lines:
            if not names or any(values[name] for name in names):
                parts.append(line.format(**values))
                found = found or bool(names)
        return "\n".join(parts) if found or not self.names_fields else ""

    def _value(self, item: Mapping, name: str) -> str:
        value = item.get(name)
        if isinstance(value, list):
            value = ", ".join(str(part) for part in value)
        text = "" if value is None else " ".join(str(value).split())
        return " ".join(text.split(" ")[: self.words[name]]) if name in self.words else text


def _names(line: str) -> List[str]:
    try:
        parts = list(string.Formatter().parse(line))
    except ValueError as error:
        raise InputError(f"prompt line {line!r}: {error}; write {{{{ or }}}} for a brace itself") from None
    names = [name for _, name, spec, conversion in parts if name is not None]
    if any(spec or conversion for _, name, spec, conversion in parts) or any(not name.isidentifier() for name in names):
        raise InputError(f"prompt line {line!r}: expected names of fields in braces, as in {{title}}")
    return names
