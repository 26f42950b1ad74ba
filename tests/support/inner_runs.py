"""Runs of pytest inside the process of a test: some 2,000 of them, whose own work is most of what all tests take.

Modules of plugins are the same in each run. Yet each run looks at every name in them twice, for hooks and for fixtures:
half of the time of a run whose tests do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from importlib import metadata
from importlib.metadata import Distribution
from types import ModuleType

import pytest


def look_once(plugins: Iterable[object]) -> None:
    """Look once for the distributions that are installed, and once for the hooks and fixtures of these plugins."""
    find = metadata.distributions
    installed = [_Installed(distribution) for distribution in find()]
    # Whoever looks for something else gets what is there.
    metadata.distributions = lambda **context: find(**context) if context else installed  # type: ignore[assignment]
    for plugin in plugins:
        if isinstance(plugin, ModuleType):
            plugin.__dir__ = partial(list, _names_for_pytest(plugin))  # type: ignore[method-assign]  # what `dir` says


class _Installed:
    """An installed distribution whose files are read and parsed only once."""

    def __init__(self, distribution: Distribution) -> None:
        self._distribution = distribution

    def __getattr__(self, name: str) -> object:
        value = getattr(self._distribution, name)
        self.__dict__[name] = value
        return value


def _names_for_pytest(module: ModuleType) -> list[str]:
    """Return the names of what may be hooks and fixtures in a module, in the order in which `dir` has them."""
    type_of_fixtures = type(pytest.fixture(lambda: None))
    members = sorted(vars(module).items())
    return [name for name, value in members if name.startswith("pytest_") or isinstance(value, type_of_fixtures)]
