"""What training changes in a model or trainer beside parameters and buffers, so that a checkpoint can hold all of it.

Models count steps, keep running losses, shuffle lists and draw from random streams of their own, in plain attributes. Each
attribute is compared with its value when the object was made; the ones that differ are part of a checkpoint.
"""

import logging
from typing import AbstractSet, Any, Dict, Iterator, NamedTuple, Optional, Set

import torch
from torch import nn

from recbole_sda.engine.attribute_values import digest, restored, stored
from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)

MODULE_ATTRIBUTES = {*vars(nn.Module()), "training"}  # torch's own
DATA_PACKAGES = (
    "recbole.data",
    "recbole.config",
    "recbole.sampler",
    "recbole.evaluator",
    "recbole_sda.data",
    "recbole_sda.config",
)


def _holds_weights(value: Any) -> bool:
    """Return whether a value is or holds a module or parameter, which the state dict covers."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set)):
        return any(map(_holds_weights, value))
    return isinstance(value, (nn.Module, nn.Parameter))


class Attribute(NamedTuple):
    """One attribute: its path from the root, the namespace that holds it, its name there and its value."""

    path: str
    namespace: Dict[str, Any]
    name: str
    value: Any


class ChangedAttributes:
    """The attributes of a model and a trainer that differ from their values when this object was made.

    It covers tensors, numbers, texts, numpy arrays, scipy matrices, random generators and containers of them, in the model, its
    modules, the objects of the model's own packages that they hold, and the trainer. Parameters and the buffers of the state dict
    are left out, and so are the names that the attribute ``not_in_checkpoints`` of their owner lists.

    Args:
        model: the model, as its constructor left it.
        trainer: the trainer, as its constructor left it.

    Example:
        >>> class Model(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.steps, self.losses = 0, [0.5]
        >>> model = Model()
        >>> changed = ChangedAttributes(model, object())
        >>> model.losses.append(0.25)
        >>> changed.state()
        {'model.losses': [0.5, 0.25]}
        >>> model.losses.clear()
        >>> changed.restore({"model.losses": [0.5, 0.25]})
        >>> model.losses
        [0.5, 0.25]
    """

    def __init__(self, model: nn.Module, trainer: Any):
        self._model, self._trainer = model, trainer
        self._packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__} - {
            "builtins",
            "torch",
            "abc",
        }
        self._before = {attribute.path: digest(attribute.value) for attribute in self._attributes()}
        self._refused: Set[str] = set()

    def state(self) -> Dict[str, Any]:
        """Return path -> value of the attributes that differ, as data that a checkpoint can hold.

        One of the model that a checkpoint cannot hold is named in a warning, once. What a trainer holds of this kind, such as the
        dataloaders, is made anew by a resumed run.
        """
        changed: Dict[str, Any] = {}
        for attribute in self._attributes():
            if self._before.get(attribute.path) == digest(attribute.value):
                continue
            try:
                changed[attribute.path] = stored(attribute.value)
            except TypeError as error:
                if attribute.path not in self._refused and attribute.path.startswith("model."):
                    logger.warning("%s changes in training, but %s: a resumed run is not exact", attribute.path, error)
                self._refused.add(attribute.path)
        return changed

    def restore(self, state: Dict[str, Any]) -> None:
        """Set the attributes of :meth:`state`, in place where possible: an object can have several names."""
        present = {attribute.path: attribute for attribute in self._attributes()}
        for path, value in state.items():
            if path in present:
                found = present[path]
                found.namespace[found.name] = restored(found.value, value)
            else:
                self._add(path, value)

    def _add(self, path: str, value: Any) -> None:
        """Set an attribute that the object did not have when it was made."""
        owner, _, name = path.rpartition(".")
        owners = {**dict(self._model.named_modules(prefix="model")), "trainer": self._trainer}
        if owner not in owners:
            return
        if name.startswith("__") or callable(getattr(type(owners[owner]), name, None)):
            raise InputError(f"attributes: {path} would replace a method")
        vars(owners[owner])[name] = restored(None, value)

    def _attributes(self) -> Iterator[Attribute]:
        seen: Set[int] = set()
        for prefix, module in self._model.named_modules(prefix="model"):
            seen.add(id(module))
            if not type(module).__module__.startswith("torch."):  # whose state is parameters and buffers
                yield from self._of(prefix, module, vars(module), MODULE_ATTRIBUTES, seen)
            others = module._buffers.keys() - module._non_persistent_buffers_set
            yield from self._of(prefix, module, module._buffers, others, seen)
        yield from self._of("trainer", self._trainer, getattr(self._trainer, "__dict__", {}), set(), None)

    def _of(
        self, prefix: str, owner: Any, namespace: Dict[str, Any], without: AbstractSet[str], seen: Optional[Set[int]]
    ) -> Iterator[Attribute]:
        """Yield the attributes of one owner; those of objects that it holds too, unless ``seen`` is None."""
        hidden = {*without, *getattr(owner, "not_in_checkpoints", ())}
        for name, value in list(namespace.items()):
            if name in hidden or _holds_weights(value):
                continue
            if not self._is_object(value):
                yield Attribute(f"{prefix}.{name}", namespace, name, value)
            elif seen is not None and id(value) not in seen:
                seen.add(id(value))
                yield from self._of(f"{prefix}.{name}", value, vars(value), set(), seen)

    def _is_object(self, value: Any) -> bool:
        """Return whether a value is an object of the model's own packages, whose attributes count one by one."""
        module = type(value).__module__
        own = module.partition(".")[0] in self._packages and not module.startswith(DATA_PACKAGES)
        return own and hasattr(value, "__dict__") and not isinstance(value, (type, torch.Tensor))
