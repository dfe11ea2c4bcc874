"""The source files that define a model, found without importing torch or RecBole."""

import ast
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from recbole_sda.model.model_table import ENSEMBLES, MULTIMODAL, NEIGHBOURS, POPULARITY

_PACKAGES = ("recbole", "recbole_sda")
_OF_ALL_MODELS = "recbole.model.abstract_recommender"
_KINDS = ("general", "context_aware", "sequential", "knowledge_aware", "exlib")  # RecBole's order


@lru_cache(maxsize=None)
def recbole_folder() -> Path:
    """Return the folder of the installed RecBole."""
    spec = importlib.util.find_spec("recbole")
    assert spec is not None and spec.submodule_search_locations  # a requirement of the package
    return Path(next(iter(spec.submodule_search_locations)))


def package_module(model: str) -> Optional[str]:
    """Return the module of recbole_sda.model that defines a model without an SDA part; None for one of RecBole's own.

    Example:
        >>> package_module("VBPR"), package_module("SASRec")
        ('multimodal.vbpr', None)
    """
    if model in MULTIMODAL:
        return f"multimodal.{MULTIMODAL[model]}"
    if model in NEIGHBOURS:
        return f"neighbours.{NEIGHBOURS[model]}"
    if model in ENSEMBLES:
        return f"ensemble.{ENSEMBLES[model]}"
    return "popularity" if model == POPULARITY else None


@lru_cache(maxsize=None)
def model_file(model: str) -> Optional[Path]:
    """Return the file that defines a model of the package or of RecBole; None if there is no such model.

    Example:
        >>> model_file("SASRec").name, model_file("SASRek")
        ('sasrec.py', None)
    """
    own = package_module(model)
    if own is not None:
        return _module_file(f"recbole_sda.model.{own}")
    for kind in _KINDS:
        path = recbole_folder() / f"model/{kind}_recommender/{model.lower()}.py"
        if path.is_file():
            return path if model in _classes(path) else None
    return None


@lru_cache(maxsize=None)
def defining_files(model: str) -> List[Path]:
    """Return the files of a model's class and of all classes that it inherits from, but RecBole's base classes of all models.

    Example:
        >>> [path.name for path in defining_files("SASRec")]
        ['sasrec.py']
    """
    path, files = model_file(model), list[Path]()
    if path is not None:
        _add_files(path, model, files)
    return files


def _add_files(path: Path, name: str, files: List[Path]) -> None:
    classes = _classes(path)
    if name in classes and path not in files:
        files.append(path)
    for base in classes.get(name, [name]):
        if base in classes:
            _add_files(path, base, files)
        elif base in _imports(path):
            module, original = _imports(path)[base]
            found = _module_file(module) if module.split(".")[0] in _PACKAGES and module != _OF_ALL_MODELS else None
            if found is not None:
                _add_files(found, original, files)


@lru_cache(maxsize=None)
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _classes(path: Path) -> Dict[str, List[str]]:
    """Return the classes of a file with the names of their bases."""
    nodes = [node for node in _tree(path).body if isinstance(node, ast.ClassDef)]
    return {node.name: [base.id for base in node.bases if isinstance(base, ast.Name)] for node in nodes}


def _imports(path: Path) -> Dict[str, Tuple[str, str]]:
    """Return the names that a file imports from modules, with the module of each and its name there."""
    nodes = [node for node in _tree(path).body if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in nodes for alias in node.names}


def _module_file(module: str) -> Optional[Path]:
    package, *rest = module.split(".")
    root = recbole_folder() if package == "recbole" else Path(__file__).parents[1]
    paths = [root.joinpath(*rest).with_suffix(".py"), root.joinpath(*rest, "__init__.py")]
    return next((path for path in paths if path.is_file()), None)
