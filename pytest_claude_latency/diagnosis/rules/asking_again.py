"""Rules about how a program asks again after a refusal: too early, at once, too often, or where no answer can come.

They look at all attempts of one request, by the bytes of its body: those of the client, and those of a loop around it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final, NamedTuple

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.messages_api.answer import REFUSALS
from pytest_claude_latency.messages_api.exchange import Exchange, header
from pytest_claude_latency.messages_api.retries import failure, may_succeed_later
from pytest_claude_latency.plurals import number_of

_BARELY: Final[Nanoseconds] = 50 * MILLISECOND
"""A pause that no one chose: what a program computes between two requests may take so long."""
_FEWEST: Final = 6
"""Attempts of one request. Two layers that each try three times make nine, and six where the second one is answered."""
_WAITS: Final = ("retry-after", "retry-after-ms", "x-amz-retry-after")


class _Asking(NamedTuple):
    """A request that was refused and sent once more."""

    call: PromptCall
    refused: Exchange
    status: int
    pause: Nanoseconds
    """From the end of the refusal until it was sent again."""
    again: PromptCall
    """The call that sent it again, which may be the same one."""


def retry_after_ignored(trace: Trace) -> Finding | None:
    """Find requests that were sent again earlier than a refusal asked for.

    Silent where the refusal names no whole seconds, and where the pause is as long.
    """

    def is_early(asking: _Asking) -> bool:
        asked_wait = _asked_wait(asking)
        return asked_wait is not None and asking.pause < asked_wait - _BARELY

    asking, others = _first(trace, is_early)
    if asking is None:
        return None
    return _finding(
        "retry-after-ignored",
        [asking, *others],
        f"{trace.name(asking.call)} was sent again {duration.show(asking.pause)} after a {asking.status} that asked "
        f"for {duration.show(_asked_wait(asking) or 0)}",
        "wait as long as retry-after says, or go on without this answer: who comes early is refused again",
    )


def no_back_off(trace: Trace) -> Finding | None:
    """Find requests that were sent again at once after the API was too busy to answer.

    Silent about broken connections, and where the refusal itself said when to come back.
    """

    def is_at_once(asking: _Asking) -> bool:
        response = asking.refused.response
        is_busy = response is not None and may_succeed_later(response)
        return is_busy and asking.pause < _BARELY and not any(_header(asking.refused, name) for name in _WAITS)

    asking, others = _first(trace, is_at_once)
    if asking is None:
        return None
    return _finding(
        "no-back-off",
        [asking, *others],
        f"{trace.name(asking.call)} was sent again {duration.show(asking.pause)} after a {asking.status}",
        "wait before each retry, longer each time, as the SDK does",
    )


def retried_in_vain(trace: Trace) -> Finding | None:
    """Find requests that were sent again although the API had said that it does not take them.

    Silent about a login that failed: the next one may have another key.
    """

    def is_in_vain(asking: _Asking) -> bool:
        return asking.status in REFUSALS or _header(asking.refused, "x-should-retry") == "false"

    asking, others = _first(trace, lambda asking: asking.status != 401 and is_in_vain(asking))
    if asking is None:
        return None
    return _finding(
        "retried-in-vain",
        [asking, *others],
        f"{trace.name(asking.call)} was sent again after a {asking.status}, which no retry mends",
        "give up at once, or send another request",
    )


def retry_storm(trace: Trace) -> Finding | None:
    """Find a request that was sent at least six times, and refused each time but the last.

    Silent about the client's own two retries, about requests that only look alike, and where answers came.
    """
    # by the bytes of the body: a program's own retry is another call to the client, with nothing else in common
    alike: dict[bytes, list[PromptCall]] = {}
    for call in trace.calls:
        alike.setdefault(call.attempts[0].request.content, []).append(call)
    storms = []
    for calls in alike.values():
        failed = [failure(attempt) is not None for call in calls for attempt in call.attempts]
        # an answer in between would mean that the program asked the same again on purpose; only the last may be one
        if sum(failed) >= _FEWEST - 1 and all(failed[:-1]):
            storms.append(calls)
    if not storms:
        return None
    worst = max(storms, key=lambda calls: (not trace.concerned.isdisjoint(numbers(calls)), _refusals(calls)))
    attempts = sum(len(call.attempts) for call in worst)
    first, last = worst[0].attempts[0].sent, worst[-1].attempts[-1].sent
    return Finding(
        rule="retry-storm",
        fact=f"one request was sent {attempts} times in {duration.show(last - first)}, and refused {_refusals(worst)} "
        "times: a refusal meant to slow the program down makes it send more",
        remedy="retry in one place only: max_retries=0 for a client inside a loop that retries, or no such loop; "
        "wait longer each time, and as long as retry-after says",
        cost=sum(_costs(worst)),
        costs=_costs(worst),
        calls=numbers(worst),
    )


def _first(trace: Trace, fits: Callable[[_Asking], bool]) -> tuple[_Asking | None, list[_Asking]]:
    """Return the first refused request that was sent again and fits, if there is one, and the others.

    Those that a limit is about come before all others.
    """
    askings: list[_Asking] = []
    alike: dict[bytes, list[tuple[Exchange, PromptCall]]] = {}
    for call in trace.calls:
        for attempt in call.attempts:
            alike.setdefault(attempt.request.content, []).append((attempt, call))
    for attempts in alike.values():
        attempts.sort(key=lambda attempt: attempt[0].sent)
        for (refused, call), (following, again) in pairwise(attempts):
            response, end = refused.response, refused.end
            if response is None or end is None or response.status < 400:
                continue
            pause = following.sent - refused.sent - end.at
            if pause < 0:  # the two ran at the same time, and neither answers the other
                continue
            asking = _Asking(call, refused, response.status, pause, again)
            if fits(asking):
                askings.append(asking)
    askings.sort(key=lambda asking: not trace.concerned & {asking.call.number, asking.again.number})
    return (askings[0], askings[1:]) if askings else (None, [])


def _asked_wait(asking: _Asking) -> Nanoseconds | None:
    """Return how long the refusal asked to wait; None if it does not say, or names a date."""
    after = _header(asking.refused, "retry-after") or ""
    return int(after) * SECOND if after.isdecimal() and len(after) < 7 else None


def _header(exchange: Exchange, name: str) -> str | None:
    return None if exchange.response is None else header(exchange.response.headers, name)


def _finding(rule: str, askings: list[_Asking], fact: str, remedy: str) -> Finding:
    calls = {call.number: call for asking in askings for call in (asking.call, asking.again)}
    costs = _costs(list(calls.values()))
    more = len(askings) - 1
    return Finding(
        rule=rule,
        fact=f"{fact}, and {number_of(more, 'more time')}" if more else fact,
        remedy=remedy,
        cost=sum(costs),
        costs=costs,
        calls=numbers(calls.values()),
    )


def _costs(calls: list[PromptCall]) -> tuple[Nanoseconds, ...]:
    return tuple(call.breakdown.time_in(Part.REFUSED, Part.BACK_OFF) for call in calls)


def _refusals(calls: list[PromptCall]) -> int:
    return sum(failure(attempt) is not None for call in calls for attempt in call.attempts)
