"""Running a patch when a module is imported, so that nothing is imported only to be patched."""

import importlib
import sys
from contextlib import ExitStack
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence

Patch = Callable[[ModuleType], ContextManager[None]]


class ImportHook:
    """A finder that runs patches around the execution of chosen modules and leaves all other imports alone.

    A patch is a context manager function that takes the module: its first part runs before the module's code, the rest after it.

    Args:
        patches: name of a module -> its patches, each as ``"module:function"``. That module is imported when it is needed.
    """

    def __init__(self, patches: Dict[str, Sequence[str]]):
        self.patches = dict(patches)

    def install(self) -> None:
        """Add the finder to ``sys.meta_path``, and patch the chosen modules that are imported already.

        It takes the place of earlier finders of this kind, such as the one from before ``importlib.reload(recbole_sda)``.
        """
        sys.meta_path[:] = [self, *(finder for finder in sys.meta_path if not _is_import_hook(finder))]
        for name in self.patches:
            if name in sys.modules:
                with self._around(sys.modules[name]):
                    pass

    def find_spec(self, name: str, path: Any = None, target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        """Return the spec of a chosen module, as the other finders give it, with a loader that runs the patches."""
        if name not in self.patches:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next((spec for finder in others if (spec := finder.find_spec(name, path, target))), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_patched(module: ModuleType) -> None:
            with self._around(module):
                execute(module)

        spec.loader.exec_module = execute_patched  # type: ignore[method-assign]  # of this one spec's loader
        return spec

    def _around(self, module: ModuleType) -> ExitStack:
        stack = ExitStack()
        for patch in self._functions(module.__name__):
            stack.enter_context(patch(module))
        return stack

    def _functions(self, name: str) -> List[Patch]:
        parts = (patch.partition(":") for patch in self.patches[name])
        return [getattr(importlib.import_module(module), function) for module, _, function in parts]


def _is_import_hook(finder: Any) -> bool:
    """Return whether a finder is an :class:`ImportHook`, also one of an earlier import of this module."""
    kind = type(finder)
    return (kind.__module__, kind.__qualname__) == (ImportHook.__module__, ImportHook.__qualname__)
