"""Who asks: callers that must see the machine's time whatever thread they run in.

Told apart by the top-level package of the calling module.
"""

from __future__ import annotations

import sys
from types import FrameType

# Test machinery (deadlines, time-outs, durations) and code that waits for other processes by polling.
EXEMPT = frozenset(
    {
        "_pytest",
        "coverage",
        "execnet",
        "hypothesis",
        "multiprocessing",
        "pluggy",
        "pytest_benchmark",
        "pytest_rerunfailures",
        "pytest_timeout",
        "subprocess",
        "tqdm",
        "xdist",
    }
)

# Libraries whose own threads work beside the program: they are never its members.
BACKGROUND = EXEMPT | {"ddtrace", "logging", "newrelic", "opentelemetry", "prometheus_client", "sentry_sdk"}


def package(frame: FrameType | None) -> str:
    """The top-level package whose code `frame` runs; empty where that is unknown."""
    name = "" if frame is None else frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) else ""


def exempt(depth: int) -> bool:
    """Whether the function `depth` frames above the caller of this one is exempt."""
    return package(sys._getframe(depth + 1)) in EXEMPT
