"""The jitter of back-offs, which would make each run differ: in a replay it is the middle of its range.

Each library has its own name for `random`. That name is replaced, so the global generator stays the program's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from types import ModuleType
from typing import Any, Final, final
from unittest import mock

from pytest_claude_latency.virtual_time.patches.import_hook import Watcher, on_import

_MIDDLE_OF_THE_JITTER: Final = 0.5
_MODULES: Final = (
    "agents.run_internal.model_retry",
    "anthropic._base_client",
    "botocore.retryhandler",
    "litellm.utils",
    "openai._base_client",
    "smolagents.utils",
    "urllib3.util.retry",
)
"""Modules that use chance for nothing but the pauses between attempts."""


@final
class PinnedChance:
    """The changes. They are made when a library is imported, and are in force while `replaying()` is true."""

    def __init__(self, replaying: Callable[[], bool]) -> None:
        self._replaying = replaying
        self._patches = ExitStack()
        self._watcher: Watcher | None = None

    def start(self) -> None:
        """Patch the libraries that are loaded, and others as soon as they are."""
        modules = dict.fromkeys(_MODULES, self._pin)
        self._watcher = on_import({**modules, "botocore.retries.standard": self._pin_back_off})

    def stop(self) -> None:
        """Leave the libraries as they were."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self._patches.close()

    def _pin(self, module: ModuleType) -> None:
        found = getattr(module, "random", None)
        if found is None:
            return  # its back-off has no jitter, for example that of urllib3 1.26
        # Some bind the function, some the module, of which they may use more than `random()`.
        pinned = _PinnedModule(self._random) if isinstance(found, ModuleType) else self._random
        self._patches.enter_context(mock.patch.object(module, "random", pinned))

    def _pin_back_off(self, module: ModuleType) -> None:
        original = getattr(module.ExponentialBackoff, "delay_amount", None)
        if original is None:
            return  # not here, in the middle of the program's import: `required_names` says what is missing

        @wraps(original)
        def delay_amount(back_off: Any, context: Any) -> Any:
            # Here, and not where it is made: the program may have made its client long before.
            if back_off._random is random.random:
                back_off._random = self._random
            return original(back_off, context)

        self._patches.enter_context(mock.patch.object(module.ExponentialBackoff, "delay_amount", delay_amount))

    def _random(self) -> float:
        return _MIDDLE_OF_THE_JITTER if self._replaying() else random.random()


@final
class _PinnedModule:
    """The module `random`, with another `random()`."""

    def __init__(self, function: Callable[[], float]) -> None:
        self.random = function

    def __getattr__(self, name: str) -> Any:
        return getattr(random, name)
