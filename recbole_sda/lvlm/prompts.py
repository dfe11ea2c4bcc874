"""Prompts: the text that a model reads about an item, made from the item's fields by a template."""

import string
from typing import Any, Dict, List, Mapping, Sequence

from recbole_sda.errors import InputError, nearest
from recbole_sda.features.items_file import field_text

ALL = "fields"  # in a template, {fields} inserts every field, one per line


class Prompt:
    """A template over the fields of an item.

    ``{name}`` inserts the field of that name; ``{fields}`` inserts every field, one per line as ``name: value``. A line of
    the template is left out if the item lacks all fields that the line names, so no label remains without a value.

    Args:
        template: the text.
        fields: names of the fields that items have.
        words: maximum number of words per field; fields that are not named here are used in full.
        key: the key of the template, for messages.

    Raises:
        InputError: the template is malformed, or ``template`` or ``words`` names a field that no item has.

    Example:
        >>> prompt = Prompt("Title: {title}\\nBrand: {brand}", ["title", "brand"], {"title": 2})
        >>> prompt({"title": "red drum with sticks", "brand": None})
        'Title: red drum'
    """

    def __init__(self, template: str, fields: Sequence[str], words: Mapping[str, int], key: str = "prompt"):
        self.fields, self.words = list(fields), dict(words)
        self.lines = [(line, _field_names(line, key)) for line in template.splitlines()]
        for place, names in (("field_words", words), *((key, names) for _, names in self.lines)):
            for name in names:
                if name not in self.fields and (name != ALL or place != key):
                    available = ", ".join(self.fields) or "none"
                    raise InputError(
                        f"{place}: no item has the field {name!r}; available fields: {available}.{nearest(name, self.fields)}"
                    )

    @property
    def names_fields(self) -> bool:
        """Whether the template names any field."""
        return any(names for _, names in self.lines)

    def __call__(self, item: Mapping[str, Any]) -> str:
        """Return the prompt of an item; empty if the template names fields and the item has none of them."""
        values: Dict[str, str] = {name: self._value(item, name) for name in self.fields}
        values[ALL] = "\n".join(f"{name}: {values[name]}" for name in self.fields if values[name])
        parts: List[str] = []
        any_value = False
        for line, names in self.lines:
            if not names or any(values[name] for name in names):
                parts.append(line.format(**values))
                any_value = any_value or bool(names)
        return "\n".join(parts) if any_value or not self.names_fields else ""

    def _value(self, item: Mapping[str, Any], name: str) -> str:
        text = " ".join(field_text(item.get(name)).split())
        return " ".join(text.split(" ")[: self.words[name]]) if name in self.words else text


def _field_names(line: str, key: str) -> List[str]:
    try:
        parts = list(string.Formatter().parse(line))
    except ValueError as error:
        raise InputError(f"{key}: line {line!r}: {error}; write {{{{ or }}}} for a brace itself") from None
    names = [name for _, name, _, _ in parts if name is not None]
    if any(spec or conversion for _, _, spec, conversion in parts) or any(not name.isidentifier() for name in names):
        raise InputError(f"{key}: line {line!r}: expected names of fields in braces, as in {{title}}")
    return names
