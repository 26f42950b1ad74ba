"""The jitter of back-offs, which would make each run differ: in a replay it is the middle of its range.

Each library has its own name for `random`. That name is replaced, so the global generator stays the program's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, Final, final
from unittest import mock

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.virtual_time.patches.import_hook import Watcher, on_import

_MIDDLE_OF_THE_JITTER: Final = 0.5
_MODULES: Final = (
    "agents.run_internal.model_retry",
    "anthropic._base_client",
    "litellm.utils",
    "openai._base_client",
    "smolagents.utils",
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
        self._watcher = on_import({**dict.fromkeys(_MODULES, self._pin), "urllib3": self._pin_urllib3})

    def stop(self) -> None:
        """Leave the libraries as they were."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self._patches.close()

    def pin_botocore(self, patches: ExitStack) -> None:
        """Patch botocore, which has all names that are needed, until `patches` are closed."""
        self._pin(import_module("botocore.retryhandler"), patches)
        kind = import_module("botocore.retries.standard").ExponentialBackoff
        original = kind.delay_amount

        @wraps(original)
        def delay_amount(back_off: Any, context: Any) -> Any:
            # Here, and not where it is made: the program may have made its client long before.
            if back_off._random is random.random:
                back_off._random = self._random
            return original(back_off, context)

        patches.enter_context(mock.patch.object(kind, "delay_amount", delay_amount))

    def _pin_urllib3(self, module: ModuleType) -> None:
        with suppress(InterceptionError):  # its door says what is missing, and nothing of it is patched
            required_names.check(module.__name__)
            self._pin(import_module("urllib3.util.retry"))

    def _pin(self, module: ModuleType, patches: ExitStack | None = None) -> None:
        found = getattr(module, "random", None)
        if found is None:
            return  # its back-off has no jitter, for example that of urllib3 1.26
        # Some bind the function, some the module, of which they may use more than `random()`.
        pinned = _PinnedModule(self._random) if isinstance(found, ModuleType) else self._random
        (patches or self._patches).enter_context(mock.patch.object(module, "random", pinned))

    def _random(self) -> float:
        return _MIDDLE_OF_THE_JITTER if self._replaying() else random.random()


@final
class _PinnedModule:
    """The module `random`, with another `random()`."""

    def __init__(self, function: Callable[[], float]) -> None:
        self.random = function

    def __getattr__(self, name: str) -> Any:
        return getattr(random, name)
