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
    # Of most tests all calls were answered, or failed.
    if all(call.ttft is not None or call.error is not None for call in calls):
        return frozenset()
    # when each answer brought its first token, and when it was over
    answers = [
        (nanoseconds(call.sent) + nanoseconds(call.ttft), _end(call))
        for call in calls
        if call.ttft is not None and call.error is None
    ]
    lost = set()
    for number, call in enumerate(calls, 1):
        was_closed = call.closed is not None or (is_over and call.total is None)
        if not was_closed or call.ttft is not None or call.error is not None:
            continue
        sent, end = nanoseconds(call.sent), _end(call)
        if any(first_token <= end + _ROUNDING and sent < over for first_token, over in answers):
            lost.add(number)
    return frozenset(lost)


def times_that_count(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the calls whose own times say something: all but those that were given up."""
    lost = given_up(calls)
    return tuple(call for number, call in enumerate(calls, 1) if number not in lost)


def _end(call: Call) -> float:
    return math.inf if call.total is None else nanoseconds(call.sent) + nanoseconds(call.total)
