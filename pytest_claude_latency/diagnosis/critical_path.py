"""The critical path: the chain of calls and gaps that determines how long a test takes.

It is followed backwards from the end. Before a call was sent, something happened last: another call ended, or a call
that was still under way had begun (a hedge follows the call that is late). That is taken for what let the call be sent.
The end of a call that was given up let nothing happen: the program no longer waited for it.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from pytest_claude_latency.duration import Nanoseconds


@dataclass(frozen=True, slots=True)
class Stretch:
    """A step of the critical path: the number of the call that was waited for, from 1; None for the application."""

    call: int | None
    start: Nanoseconds
    end: Nanoseconds


def critical_path(
    spans: Sequence[tuple[Nanoseconds, Nanoseconds]], given_up: Container[int] = ()
) -> tuple[Stretch, ...]:
    """Return the chain that determines when the last of `spans` is over. The first one begins at 0.

    `given_up` are the numbers of the calls whose end nothing waited for. Empty without a span.
    """
    awaited = {place: span for place, span in enumerate(spans) if place + 1 not in given_up}
    if not awaited:
        return ()
    # of calls that end together the one that began first explains more
    last = max(awaited, key=lambda place: (spans[place][1], -spans[place][0]))
    over = max(end for _, end in spans)
    # a call that was given up may be closed later than the last answer came: until then the program did something else
    path = [Stretch(None, spans[last][1], over)] if over > spans[last][1] else []
    # calls are numbered from 1, as messages name them
    path.append(Stretch(last + 1, *spans[last]))
    while (at := path[-1].start) > 0:
        ended = [(end, start, place) for place, (start, end) in awaited.items() if start < at and end <= at]
        under_way = [(start, place) for place, (start, end) in enumerate(spans) if start < at < end]
        # the later event of the two; one of them exists, or `at` were the beginning
        if not ended or (under_way and max(under_way)[0] >= max(ended)[0]):
            start, place = max(under_way)
            path.append(Stretch(place + 1, start, at))
            continue
        end, start, place = max(ended)
        # the time between the end of a call and the next one is the program's own
        if end < at:
            path.append(Stretch(None, end, at))
        path.append(Stretch(place + 1, start, end))
    return tuple(reversed(path))
