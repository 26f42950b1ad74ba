"""The critical path: the chain of calls and gaps that determines how long a test takes.

It is walked backwards from the end. What was the last thing to happen before a call was sent, an
end of another call or the start of one still under way (a hedge follows the call that is late), is
taken for what let it be sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_claude_latency.duration import Nanoseconds


@dataclass(frozen=True, slots=True)
class Stretch:
    """A step of the critical path: the number of the call that was waited for, from 1; None for the application."""

    call: int | None
    start: Nanoseconds
    end: Nanoseconds


def critical_path(spans: Sequence[tuple[Nanoseconds, Nanoseconds]]) -> tuple[Stretch, ...]:
    """The chain that determines when the last of `spans`, which begin at 0, is over. Empty without a span."""
    if not spans:
        return ()
    current = max(range(len(spans)), key=lambda each: (spans[each][1], -spans[each][0]))
    path = [Stretch(current + 1, *spans[current])]
    while (at := path[-1].start) > 0:
        over = max(
            ((end, start, each) for each, (start, end) in enumerate(spans) if start < at and end <= at), default=None
        )
        open_ = max(((start, each) for each, (start, end) in enumerate(spans) if start < at < end), default=None)
        if over is None or (open_ is not None and open_[0] >= over[0]):
            assert open_ is not None  # something began before `at`, or `at` were 0
            path.append(Stretch(open_[1] + 1, open_[0], at))
            continue
        end, start, each = over
        if end < at:
            path.append(Stretch(None, end, at))
        path.append(Stretch(each + 1, start, end))
    return tuple(reversed(path))
