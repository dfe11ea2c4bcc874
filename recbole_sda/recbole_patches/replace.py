"""Replacing a name of another library, checked: a name that is gone is an error, not a silent no-op."""

import sys
from contextlib import contextmanager
from typing import Any, Iterator, List

_replaced: List[str] = []


def _check(owner: Any, name: str) -> str:
    """Return ``owner.name`` as text; raise where the owner does not have the name."""
    label = f"{getattr(owner, '__module__', '')}.{owner.__qualname__}" if isinstance(owner, type) else owner.__name__
    if name not in vars(owner):
        raise AttributeError(f"{label}.{name} does not exist in the installed version, so it cannot be patched")
    return f"{label}.{name}"


def replace(owner: Any, name: str, new: Any) -> Any:
    """Replace an attribute of a module or class for the rest of the process, and return the old one.

    Where the old value is a function or class of the library itself, the library's modules that imported it by name get the new
    one too.

    Args:
        owner: a module or class.
        name: its attribute.
        new: the new value.

    Raises:
        AttributeError: the owner does not define the name.
    """
    label = _check(owner, name)
    old = vars(owner)[name]
    setattr(owner, name, new)
    library = getattr(old, "__module__", None) or ""
    if not isinstance(owner, type) and library.partition(".")[0] == owner.__name__.partition(".")[0]:
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith(library.partition(".")[0]) and vars(module).get(name) is old:
                setattr(module, name, new)
    _replaced.append(label)
    return old


@contextmanager
def replaced(owner: Any, name: str, new: Any) -> Iterator[None]:
    """Context manager that replaces an attribute of a module or class and restores it at the end.

    Args:
        owner, name, new: see :func:`replace`.

    Raises:
        AttributeError: the owner does not define the name.
    """
    label = _check(owner, name)
    old = vars(owner)[name]
    setattr(owner, name, new)
    if label not in _replaced:
        _replaced.append(label)
    try:
        yield
    finally:
        setattr(owner, name, old)


def replaced_names() -> List[str]:
    """Return every name that was replaced in this process, as ``module.name`` or ``module.Class.name``."""
    return sorted(set(_replaced))
