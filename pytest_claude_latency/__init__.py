"""Latency regression tests for Claude calls: recorded once, replayed offline in virtual time.

Names resolve when they are first used, so that importing the package costs
next to nothing and pulls in neither the SDK nor an HTTP library.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_claude_latency.cassettes.recording import Recording
    from pytest_claude_latency.errors import (
        BudgetExceeded,
        CassetteError,
        CassetteWriteError,
        CredentialError,
        LatencyError,
        LimitError,
    )
    from pytest_claude_latency.measurement.latency import Latency
    from pytest_claude_latency.measurement.play import play
    from pytest_claude_latency.metrics.timeline import Call
    from pytest_claude_latency.simulation.answers import Answer

    found_again: bool

__all__ = [
    "Answer",
    "BudgetExceeded",
    "Call",
    "CassetteError",
    "CassetteWriteError",
    "CredentialError",
    "Latency",
    "LatencyError",
    "LimitError",
    "Recording",
    "play",
]

_HOMES = {
    "Answer": "simulation.answers",
    "Call": "metrics.timeline",
    "Latency": "measurement.latency",
    "Recording": "cassettes.recording",
    "play": "measurement.play",
}


def _find_again() -> None:
    # pytester ends a run in its own process by forgetting what that run had imported. The functions that virtual time
    # has replaced stay, and belong to the package as it was then: a second one beside it would not know who lives in
    # which world, and its latency tests would wait for real. `sys.modules` is asked again after a module has run.
    sys.modules.update(getattr(time.monotonic, "modules", {}))


_find_again()


def __getattr__(name: str) -> Any:
    if name not in {*__all__, "found_again"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _find_again()  # this module may be older than the runs that pytester has ended
    if name == "found_again":
        return True
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
