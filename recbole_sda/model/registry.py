"""Model classes by name: *_SDA models, multimodal models, RecBole's own, and classes of a user's own module."""

import importlib
import importlib.util
import os
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any, Dict, Iterable, List, Optional, Type

from recbole_sda.errors import InputError, nearest, plain_message
from recbole_sda.model.model_files import model_file, package_module
from recbole_sda.model.model_table import (
    BASE_MODELS,
    CONTEXT_AWARE,
    ENSEMBLE,
    ENSEMBLES,
    EXTERNAL,
    GENERAL_ENSEMBLE,
    KNOWLEDGE_AWARE,
    MULTIMODAL,
    NEEDED_PACKAGES,
    NEIGHBOURS,
    NEIGHBOURS_BY_FEATURES,
    ONLY_IN_1_2_1,
    SUFFIX,
    WITHOUT_SDA,
    BaseModelSpec,
)

CLASSES = "recbole_sda.models"  # where pickle finds the classes that are made here


def sda_models() -> List[str]:
    """Return the names of all *_SDA models of the package."""
    return [name + SUFFIX for name in [*BASE_MODELS, *MULTIMODAL]]


def list_models() -> List[str]:
    """Return the names of all models of the package: *_SDA, multimodal and neighbourhood models, and ensembles.

    Example:
        >>> from recbole_sda import list_models
        >>> "SASRec_SDA" in list_models(), "FREEDOM" in list_models()
        (True, True)
    """
    return [*sda_models(), *MULTIMODAL, *NEIGHBOURS, *ENSEMBLES]


def is_package_model(model: str) -> bool:
    """Return whether a name stands for a model of the package or of a user, not for one of RecBole's own."""
    return is_user_model(model) or model in list_models()


def base_name(model: str) -> str:
    """Return the model that ``model`` is or builds on: ``SASRec`` for ``SASRec_SDA`` and for ``SASRec``."""
    return model.removesuffix(SUFFIX)


def class_name(model: str) -> str:
    """Return the name of a model's class: ``MyModel`` for ``mypackage.module:MyModel``, else the name itself."""
    return model.rpartition(":")[2]


def is_user_model(model: str) -> bool:
    """Return whether a name stands for a class in a user's own module, as in ``mypackage.module:MyModel``."""
    return ":" in model


def base_spec(model: str) -> Optional[BaseModelSpec]:
    """Return what SDA needs to know of a model's base; None for a model that has no SDA version.

    A user's own model class gives it as its attribute ``sda_spec``; without one, the item table is ``item_embedding`` and the model
    is trained on RecBole's own batches.
    """
    base = base_name(model)
    if not is_user_model(base):
        return BASE_MODELS.get(base)
    kind = user_model(base)
    family = "sequential" if kind.type.name == "SEQUENTIAL" else "general"
    return getattr(kind, "sda_spec", BaseModelSpec(family))


def reads_features(model: str) -> bool:
    """Return whether a model of this name reads item features from a feature store."""
    return model.endswith(SUFFIX) or model in (*NEIGHBOURS_BY_FEATURES, *ENSEMBLES) or is_multimodal(model)


def reads_store(config: Any) -> bool:
    """Return whether a run of a configuration reads a feature store. An ensemble does where ``knn:features`` is a member."""
    if config["model"] not in ENSEMBLES:
        return reads_features(config["model"])
    members = config["members"]  # checked where the ensemble is made
    return isinstance(members, (list, tuple)) and any(str(member).startswith("knn:features") for member in members)


def is_sequential(model: str) -> bool:
    """Return whether a model of this name takes a user's sequence of items."""
    sequential: bool = model_class(model).type.name == "SEQUENTIAL"
    return sequential


def ensemble_of(models: Iterable[str]) -> str:
    """Return the name of the ensemble of runs of these models: with a sequential model, its cases are those of sequential models.

    Example:
        >>> ensemble_of(["SASRec", "BPR"]), ensemble_of(["BPR", "LightGCN"])
        ('Ensemble', 'GeneralEnsemble')
    """
    return ENSEMBLE if any(is_sequential(model) for model in models) else GENERAL_ENSEMBLE


def is_multimodal(model: str) -> bool:
    """Return whether a model is a multimodal recommender, of the package or of a user, or the SDA version of one."""
    base = base_name(model)
    if is_user_model(base):
        return issubclass(user_model(base), _module("multimodal.base").MultimodalRecommender)
    return base in MULTIMODAL


def check_model_name(name: str) -> None:
    """Refuse a name that no model has, or that has no SDA version. Imports neither torch nor RecBole, but a user's own module.

    Raises:
        InputError: with the nearest name, or the reason.
    """
    base = base_name(name)
    if is_user_model(base):
        user_model(base)
    elif name.endswith(SUFFIX):
        _check_sda_name(name, base)
    elif model_file(name) is None:
        if name in ONLY_IN_1_2_1:
            raise InputError(
                f"model {name} is in RecBole 1.2.1 only, which asks for a Ray of 2023 that does not run with numpy 2; pip installs "
                "RecBole 1.2.0 beside this package"
            )
        known = [*list_models(), *BASE_MODELS, *WITHOUT_SDA, *CONTEXT_AWARE, *KNOWLEDGE_AWARE]
        raise InputError(f"no model named {name!r}; --help lists them.{nearest(name, known)}")


def _check_sda_name(name: str, base: str) -> None:
    if base in NEIGHBOURS:
        raise InputError(f"{name}: there is no SDA version of {base}, which has no item embedding table")
    if base in ENSEMBLES:
        raise InputError(f"{name}: there is no SDA version of {base}; its members can be SDA versions")
    if base in WITHOUT_SDA:
        raise InputError(f"{name}: there is no SDA version of {base}, which {WITHOUT_SDA[base]}")
    if base in (*CONTEXT_AWARE, *KNOWLEDGE_AWARE, *EXTERNAL):
        raise InputError(f"{name}: there is no SDA version of {base}; general and sequential models have one")
    if base not in BASE_MODELS and base not in MULTIMODAL:
        raise InputError(f"no model named {name!r}; --help lists them.{nearest(name, sda_models())}")


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"recbole_sda.model.{name}")


def plain_model(name: str) -> Type[Any]:
    """Return a model without an SDA part: a user's, one of the package, or RecBole's own.

    Raises:
        InputError: there is no such model, or it needs a package that is not installed.
    """
    if is_user_model(name):
        return user_model(name)
    check_model_name(name)
    module = package_module(name)
    if module is not None:
        kind: Type[Any] = getattr(_module(module), name)
        return kind
    from recbole.utils import get_model

    try:
        kind = get_model(name)
        return kind
    except ImportError:
        if name in NEEDED_PACKAGES:  # RecBole cannot import its models of xgboost and lightgbm without both
            raise _missing_package(name) from None
        raise


def _missing_package(model: str) -> InputError:
    package = NEEDED_PACKAGES[model]
    return InputError(f"model {model} needs the package {package}, which is not installed")


def check_packages(model: str) -> None:
    """Refuse a RecBole model whose package is missing: most import it only when they are made.

    Raises:
        InputError: the model needs a package that is not installed.
    """
    package = NEEDED_PACKAGES.get(base_name(model))
    if package is not None and importlib.util.find_spec(package) is None:
        raise _missing_package(base_name(model))


@lru_cache(maxsize=None)
def user_model(name: str) -> Type[Any]:
    """Return a user's own model class, named as ``mypackage.module:MyModel``. The working directory is searched too.

    Raises:
        InputError: the module cannot be imported, or it has no RecBole model of that name.
    """
    from recbole.model.abstract_recommender import AbstractRecommender

    module_name, _, kind_name = name.rpartition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # the module is a user's program
        raise InputError(f"model {name}: module {module_name!r} cannot be imported ({plain_message(error)})") from error
    kind = getattr(module, kind_name, None)
    if not (isinstance(kind, type) and issubclass(kind, AbstractRecommender)):
        kinds = [
            key for key, value in vars(module).items() if isinstance(value, type) and value.__module__ == module_name
        ]
        there = f"it has {', '.join(kinds)}" if kinds else "it defines no class"
        raise InputError(f"model {name}: {module_name} has no RecBole model {kind_name!r}; {there}")
    return kind


_classes: Dict[str, Type[Any]] = {}


def model_class(name: str) -> Type[Any]:
    """Return the class of a model; the same name gives the same class for the life of the process.

    A model whose spec names a ``loss`` is RecBole's class with a mixin of :mod:`recbole_sda.model.softmax_loss` in front.

    Args:
        name: a *_SDA model, a multimodal model, one of RecBole's own, or a user's class as ``mypackage.module:MyModel``, to which
            ``_SDA`` can be appended.

    Raises:
        InputError: there is no such model, with the nearest name, or it has no SDA version, with the reason.

    Example:
        >>> from recbole_sda import get_model
        >>> get_model("SASRec_SDA").__name__, get_model("SASRec_SDA") is get_model("SASRec_SDA")
        ('SASRec_SDA', True)
    """
    if name not in _classes:
        _classes.setdefault(
            name, _make_class(name)
        )  # the first thread's class; a lock could wait for an import for ever
    return _classes[name]


def _make_class(name: str) -> Type[Any]:
    check_model_name(name)
    base, spec = base_name(name), base_spec(name)
    if not name.endswith(SUFFIX):
        kind = plain_model(name)
        return kind if spec is None or spec.loss == "own" else _with_loss(name, kind, spec)
    if is_multimodal(name):
        mixin = _module("multimodal_sda").MultimodalSDA
        return _sda_class(name, mixin, plain_model(base), f"{class_name(base)} on adapted features")
    assert spec is not None  # a name that was checked
    about = f"{class_name(base)} with an encoded item embedding"
    attributes: Dict[str, Any] = {"item_table": spec.item_table, "step_items": spec.step_items}
    if not spec.bias_attribute:
        return _sda_class(name, _module("sda").SDA, model_class(base), about, **attributes)
    mixin = _module("biased_sda").BiasedSDA
    return _sda_class(name, mixin, model_class(base), about, bias_attribute=spec.bias_attribute, **attributes)


def attribute_name(model: str) -> str:
    """Return the attribute of :mod:`recbole_sda.models` that is a model's class. pickle splits names at dots, so it has none."""
    return model.replace(".", "/")


def model_of_attribute(attribute: str) -> str:
    """Return the model that :func:`attribute_name` gives this name to."""
    return attribute.replace("/", ".")


def _sda_class(name: str, mixin: type, kind: type, about: str, **attributes: Any) -> Type[Any]:
    doc = f"{about} (see :class:`{mixin.__module__}.{mixin.__name__}`)."
    attributes.update(__module__=CLASSES, __qualname__=attribute_name(name), __doc__=doc, base_name=base_name(name))
    return type(class_name(name), (mixin, kind), attributes)


def _with_loss(name: str, kind: type, spec: BaseModelSpec) -> Type[Any]:
    mixin = _module("softmax_loss").MIXINS["packed" if spec.sequences == "packed" else spec.loss]
    attributes = {"__module__": CLASSES, "__qualname__": attribute_name(name), "__doc__": kind.__doc__}
    return type(kind.__name__, (mixin, kind), attributes)
