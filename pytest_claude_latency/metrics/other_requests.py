"""Other requests: those to the API that make no message, as the timeline of a test shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from pytest_claude_latency.duration import Nanoseconds, seconds
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.forms import form_of
from pytest_claude_latency.messages_api.polling import Poll, poll_of, polled
from pytest_claude_latency.messages_api.retries import Attempts, ended
from pytest_claude_latency.metrics.timeline import measure

Kind: TypeAlias = Literal["request", "polling", "session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRequests:
    """A request that makes no message, or all requests of one polling. Times are seconds since the test began."""

    kind: Kind
    title: str
    """Method and path."""
    sent: float
    ended: float
    count: int = 1
    first_message: float | None = None
    """When the first message of the agent came, in the stream of a session."""


def other_requests(calls: Sequence[Attempts], now: Nanoseconds) -> tuple[OtherRequests, ...]:
    """Return what these calls hold besides prompt calls, in the order it began. What is under way ends `now`."""
    others = [attempts for attempts in calls if not is_prompt_call(attempts[0].request)]
    polls = polled(attempts[0].request for attempts in others)
    found: dict[Poll | int, OtherRequests] = {}
    for place, attempts in enumerate(sorted(others, key=lambda attempts: attempts[0].sent)):
        first = attempts[0]
        sent, is_session = seconds(first.sent), form_of(first.request) == "session"
        first_message = measure(attempts).ttft if is_session else None
        request = OtherRequests(
            kind="session" if is_session else "request",
            title=first.request.title,
            sent=sent,
            ended=seconds(max(ended(attempt, now) for attempt in attempts)),
            first_message=None if first_message is None else sent + first_message,
        )
        poll = poll_of(first.request)
        if poll not in polls or poll is None:
            found[place] = request
        elif poll not in found:
            found[poll] = replace(request, kind="polling")
        else:
            earlier = found[poll]
            found[poll] = replace(earlier, ended=max(earlier.ended, request.ended), count=earlier.count + 1)
    return tuple(found.values())
