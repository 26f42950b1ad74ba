"""Treat a module at the moment it is imported, or now if it has been.

Importing asyncio, concurrent.futures or trio to patch them would charge every
run for libraries it may never use.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TypeAlias

Treatment: TypeAlias = Callable[[ModuleType], None]


class _Loader(Loader):
    """Loads as the module's own loader does, then treats the module, then is forgotten."""

    def __init__(self, loader: Loader, treatment: Treatment) -> None:
        self._loader = loader
        self._treatment = treatment

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._treatment(module)


class Watcher(MetaPathFinder):
    """Stands first on `sys.meta_path` and notices the modules it has a treatment for."""

    def __init__(self, treatments: dict[str, Treatment]) -> None:
        self._treatments = treatments
        self._finding: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec with our loader around its own; None for all other modules."""
        treatment = self._treatments.get(fullname)
        if treatment is None or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._finding.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, treatment)
        return spec


def on_import(treatments: dict[str, Treatment]) -> None:
    """Apply each treatment to its module: now if it is loaded, and right after it is, each time it is."""
    for name, treat in treatments.items():
        if name in sys.modules:
            treat(sys.modules[name])
    sys.meta_path.insert(0, Watcher(treatments))
