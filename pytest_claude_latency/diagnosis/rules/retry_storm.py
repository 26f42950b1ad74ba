"""A rule about requests that are sent again and again, since a program retries around a client that retries itself."""

from __future__ import annotations

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace
from pytest_claude_latency.messages_api.retries import failure

_FEWEST = 6
"""Attempts of one request. Two layers that each try three times make nine, and six where the second one is answered."""


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
    worst = max(storms, key=_refusals)
    attempts = sum(len(call.attempts) for call in worst)
    first, last = worst[0].attempts[0].sent, worst[-1].attempts[-1].sent
    cost = sum(call.breakdown.time_in(Part.REFUSED, Part.BACK_OFF) for call in worst)
    return Finding(
        rule="retry-storm",
        fact=f"one request was sent {attempts} times in {duration.show(last - first)}, and refused {_refusals(worst)} "
        "times: a refusal meant to slow the program down makes it send more",
        remedy="retry in one place only: max_retries=0 for a client inside a loop that retries, or no such loop; "
        "wait longer each time, and as long as retry-after says",
        cost=cost,
        calls=tuple(call.number for call in worst),
    )


def _refusals(calls: list[PromptCall]) -> int:
    return sum(failure(attempt) is not None for call in calls for attempt in call.attempts)
