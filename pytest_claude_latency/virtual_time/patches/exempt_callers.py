"""Callers that see the machine's time, in whatever thread they run.

They are recognized by the top-level package of the module that calls.
"""

from __future__ import annotations

import sys
from types import FrameType

# Test tools, whose deadlines, time-outs, durations and dates must be real, and modules that wait for another process by
# looking at it again and again.
TOOLS = frozenset(
    {
        "_pytest",
        "coverage",
        "execnet",
        "hypothesis",
        "pluggy",
        "pytest_benchmark",
        "pytest_html",
        "pytest_jsonreport",
        "pytest_rerunfailures",
        "pytest_timeout",
        "tqdm",
        "xdist",
    }
)
EXEMPT = TOOLS | {"multiprocessing", "subprocess"}

_CALLERS_OF_JOBS = frozenset({"worker", "mapstar", "starmapstar"})
"""Functions of `multiprocessing.pool` that call the program's, and read no clock of their own."""

_REPORTERS = EXEMPT | {__name__.partition(".")[0]}

# Libraries whose own threads do not work for the program. They are never its members: a thread that sends telemetry
# every ten seconds must neither do so in virtual time nor hold up the clock.
BACKGROUND = EXEMPT | {"ddtrace", "logging", "newrelic", "opentelemetry", "prometheus_client", "sentry_sdk"}


def package(frame: FrameType | None) -> str:
    """Return the top-level package whose code `frame` runs; empty where that is unknown."""
    name = "" if frame is None else frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) else ""


def exempt(depth: int) -> bool:
    """Return whether the function `depth` frames above the caller of this one is exempt."""
    frame = sys._getframe(depth + 1)
    if package(frame) not in EXEMPT:
        return False
    # A pool calls what the program gave it, for example `time.sleep` itself: then the program sleeps, not the pool.
    return frame.f_code.co_name not in _CALLERS_OF_JOBS or frame.f_globals["__name__"] != "multiprocessing.pool"


def reports(depth: int) -> bool:
    """Return whether the function `depth` frames above is exempt, or this package's own, which dates what it writes."""
    return package(sys._getframe(depth + 1)) in _REPORTERS
