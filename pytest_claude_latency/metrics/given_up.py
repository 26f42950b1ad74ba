"""Given-up calls: the losers of a hedge, which the program closed once another call had brought an answer.

Nobody waited for such a call to the end, so its times say nothing about what a user waits for: no limit is judged on
them and no run is compared by them. It was sent all the same, so it counts in `calls`, `attempts` and `elapsed`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from pytest_claude_latency.duration import MICROSECOND, Nanoseconds, nanoseconds
from pytest_claude_latency.metrics.timeline import Call

# Baselines keep each time to the microsecond, so a sum of two may be one off and the winner seem to answer too late.
_ROUNDING: Final[Nanoseconds] = 2 * MICROSECOND


def given_up(calls: Sequence[Call], *, is_over: bool = True) -> frozenset[int]:
    """Return the numbers, from 1, of the calls that lost a race against another one of `calls`.

    A call is given up if the program closed it before its first token, and another call that overlaps it had brought
    an answer by then. Without such a winner, or with one that was only sent afterwards, a closed call was a failure.
    `is_over` says that the program has ended: what it left under way then, it closed.
    """
    return frozenset(
        number for number, call in enumerate(calls, 1) if _was_closed(call, is_over) and _has_winner(call, calls)
    )


def times_that_count(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the calls whose own times say something: all but those that were given up."""
    lost = given_up(calls)
    return tuple(call for number, call in enumerate(calls, 1) if number not in lost)


def _was_closed(call: Call, is_over: bool) -> bool:
    if call.ttft is not None or call.error is not None:
        return False
    return call.closed is not None or (is_over and call.total is None)


def _has_winner(loser: Call, calls: Sequence[Call]) -> bool:
    """Whether some call brought its first token before the loser was closed, and was not over before it was sent."""
    sent, end = nanoseconds(loser.sent), _end(loser)
    return any(
        call.ttft is not None
        and call.error is None
        and nanoseconds(call.sent) + nanoseconds(call.ttft) <= end + _ROUNDING
        and sent < _end(call)
        for call in calls
    )


def _end(call: Call) -> float:
    return math.inf if call.total is None else nanoseconds(call.sent) + nanoseconds(call.total)
