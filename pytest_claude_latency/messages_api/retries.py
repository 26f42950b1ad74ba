"""Retries: which exchanges of a recording are the attempts of one call.

While a test runs, the context of the SDK's call says which request retries which. A recording keeps
no such mark, except of clients of AWS, so the attempts of a call are found by what the SDK does: it sends the same body
again, to the same URL, after a failure that it retries and when that failure is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.messages_api.endpoints import asks_to_stream
from pytest_claude_latency.messages_api.exchange import Exchange, Response, header
from pytest_claude_latency.printable import printable

Attempts: TypeAlias = tuple[Exchange, ...]
"""The exchanges of one call, in the order they were sent; the last one is the answer's."""

INVOCATION_HEADER = "amz-sdk-invocation-id"
"""The header by which clients of AWS mark all attempts of one call. Recordings keep it."""

_RETRIED = frozenset({408, 409, 429})  # as the SDK does it; and each status from 500 on
_LONGEST_PAUSE: Nanoseconds = 65 * SECOND
"""The SDK obeys a `retry-after` of up to a minute. What comes later is a call of its own."""


def calls_of(exchanges: Iterable[Exchange]) -> tuple[Attempts, ...]:
    """Return the calls that these exchanges make up, in the order they were sent."""
    calls: list[list[Exchange]] = []
    for exchange in sorted(exchanges, key=lambda exchange: exchange.sent):
        unfinished = next((call for call in calls if _goes_on(call[-1], exchange)), None)
        if unfinished is None:
            calls.append([exchange])
        else:
            unfinished.append(exchange)
    return tuple(tuple(call) for call in calls)


def failure(exchange: Exchange) -> str | None:
    """Return why an attempt brought no answer: its status or the exception's name. None if it brought one."""
    if exchange.response is not None and exchange.response.status >= 400:
        return str(exchange.response.status)
    if exchange.end is not None and exchange.end.error is not None:
        return printable(exchange.end.error)
    return None


def may_succeed_later(refusal: Response) -> bool:
    """Return whether a refusal says that the same request may be taken later: as the SDK asks before it retries."""
    should_retry = header(refusal.headers, "x-should-retry")  # the API knows better than the status
    if should_retry in ("true", "false"):
        return should_retry == "true"
    return refusal.status in _RETRIED or refusal.status >= 500


def ended(exchange: Exchange, now: Nanoseconds) -> Nanoseconds:
    """Return when its answer had ended, since the start of the test; `now` while it is under way."""
    return now if exchange.end is None else exchange.sent + exchange.end.at


def _goes_on(last: Exchange, exchange: Exchange) -> bool:
    """Return whether `exchange` is the next step of the call whose latest exchange is `last`."""
    if last.request.content != exchange.request.content or last.request.method != exchange.request.method:
        return False
    marks = (header(last.request.headers, INVOCATION_HEADER), header(exchange.request.headers, INVOCATION_HEADER))
    if any(marks):
        return marks[0] == marks[1]
    if last.is_redirect:  # followed at once, by the HTTP library
        return last.request.url != exchange.request.url and last.sent <= exchange.sent
    if last.end is None or last.request.url != exchange.request.url or not _is_retried(last):
        return False
    # Two equal requests at the same time are two calls: a retry is sent when the failure is over.
    return 0 <= exchange.sent - ended(last, exchange.sent) <= _LONGEST_PAUSE


def _is_retried(exchange: Exchange) -> bool:
    """Return whether the SDK tries again after it."""
    if exchange.response is None:
        return exchange.end is not None and exchange.end.error is not None
    status = exchange.response.status
    if status < 400:
        # A stream that breaks off is an error for the program, which may have used what came before.
        broke_off = exchange.end is not None and exchange.end.error is not None
        return broke_off and not asks_to_stream(exchange.request)
    return may_succeed_later(exchange.response)
