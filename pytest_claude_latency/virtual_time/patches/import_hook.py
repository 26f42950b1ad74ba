"""How a module is patched at the moment it is imported, or now if it is imported already.

Importing asyncio, concurrent.futures or trio only to patch them would slow down every run, also those whose program
never uses them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TypeAlias
from weakref import WeakSet

Patch: TypeAlias = Callable[[ModuleType], None]
Surrounding: TypeAlias = Callable[[], AbstractContextManager[None]]


class _Loader(Loader):
    """Loads a module as its own loader does, then patches it, then takes itself out of the way."""

    def __init__(self, loader: Loader, patch: Patch, surrounding: Surrounding) -> None:
        self._loader = loader
        self._patch = patch
        self._surrounding = surrounding

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module gets its own loader back before its code runs: `importlib.resources` and `inspect` ask it.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with self._surrounding():
            self._loader.exec_module(module)
        self._patch(module)


class Watcher(MetaPathFinder):
    """The first entry of `sys.meta_path`: notices the modules for which it has a patch."""

    def __init__(self, patches: Mapping[str, Patch], surroundings: Mapping[str, Surrounding] | None = None) -> None:
        self._patches = patches
        self._surroundings = surroundings or {}
        self._finding: set[str] = set()
        self._patched: WeakSet[ModuleType] = WeakSet()

    def watch(self) -> None:
        """Patch what is loaded and is not patched yet, and from now on what is imported.

        Asking again costs little, and is of use: pytester, for one, restores `sys.meta_path` at the end of each run in
        this process, and what is imported afterwards is not noticed.
        """
        loaded = {name: sys.modules[name] for name in self._patches if name in sys.modules}
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)  # first: a patch may import another of the modules
        for name, module in loaded.items():
            if module not in self._patched:
                self._patch(name, module)

    def stop(self) -> None:
        """Notice no more imports. Others may have taken it out of `sys.meta_path` already."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def _patch(self, name: str, module: ModuleType) -> None:
        self._patched.add(module)
        self._patches[name](module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's own spec, with our loader around its own; None for all other modules."""
        # `importlib` asks this finder again for the spec that we ask it for.
        if fullname not in self._patches or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._finding.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(
                spec.loader, partial(self._patch, fullname), self._surroundings.get(fullname, nullcontext)
            )
        return spec


def on_import(patches: Mapping[str, Patch], surroundings: Mapping[str, Surrounding] | None = None) -> Watcher:
    """Call each patch with the module that its key names: now if it is loaded, and after each later import of it.

    Later imports are noticed until the watcher is stopped. Where a name has a surrounding, the
    module's code runs in it.
    """
    watcher = Watcher(patches, surroundings)
    watcher.watch()
    return watcher
