"""Datadog's spans: they begin by a clock that Rust reads, and end by the one that Python reads.

In virtual time the two dates differ, and a span would last too long by as much. So a span begins by Python's, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_claude_latency.virtual_time.patches.patching import wrap

_START = 7  # the place of `start` among the arguments of a span


def install(module: Any) -> None:
    """Patch the module `ddtrace._trace.span`."""
    # What reads the end: if Datadog was imported before this package, the machine's function, for both.
    read = getattr(getattr(module, "Time", None), "time_ns", None)
    if read is None:
        return  # an older version, which reads both in Python

    def new_span(original: Callable[..., None], span: Any, *args: Any, **kwargs: Any) -> None:
        original(span, *args, **kwargs)
        if len(args) <= _START and kwargs.get("start") is None:
            span.start_ns = read()

    wrap(module.Span, "__init__", new_span)
