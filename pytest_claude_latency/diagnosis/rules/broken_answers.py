"""Rules about what a program makes of an answer that breaks off, stands still or never comes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Final

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.messages_api.answer import read, succeeded
from pytest_claude_latency.messages_api.exchange import Exchange, header
from pytest_claude_latency.messages_api.retries import failure, may_succeed_later
from pytest_claude_latency.plurals import number_of

_LONG: Final[Nanoseconds] = 10 * SECOND
"""Silence in which a user has gone away, and a pause that nobody has to wait out."""
_FAR_ABOVE: Final = 5
"""How many times as long as usual a silence is, so that no answer was to be expected any more."""


def truncated_as_whole(trace: Trace) -> Finding | None:
    """Find streams that ended early, without an error, and that the program was content with.

    Silent where it asked the same once more, where it stopped reading itself, and where nothing had come.
    """
    calls = [call for call in trace.calls if _is_truncated(call) and not _is_asked_again(trace, call)]
    if not calls:
        return None
    first = calls[0]
    text = json.dumps(first.text)[1:-1]  # escaped as the later body is below, whatever the client does
    later = [call for call in trace.calls if call.sent >= first.over]
    passed_on = next((call for call in later if text and text in json.dumps(call.body)), None)
    then = "the program did not ask again" if passed_on is None else f"call {passed_on.number} sent on what had come"
    return Finding(
        rule="truncated-as-whole",
        fact=f"the stream of {trace.name(first)} ended after {number_of(len(first.timeline.deltas), 'piece')} of "
        f"content, with neither an error nor a stop reason, and {then}" + trace.and_others(calls),
        remedy="take an answer for whole only if it has a stop reason; else ask again, or say that a part is missing",
        cost=0,
        calls=numbers(calls),
    )


def no_read_timeout(trace: Trace) -> Finding | None:
    """Find calls in which nothing came for far longer than in any other answer, and which went on waiting.

    Silent about less than ten seconds, where no other answer shows what is usual, and about pauses of the API itself
    that the program was right to wait out.
    """
    # What the API itself paused for may have been thinking. That the program gave up shows that nothing came of it.
    found = [
        (max(_silences(attempt)), call, attempt)
        for call in trace.calls
        for attempt in call.attempts
        if attempt.end is not None and (attempt.meets_fault or "Timeout" in (attempt.end.error or ""))
    ]
    silence, worst, attempt = max(
        found, key=lambda silent: (silent[1].number in trace.concerned, silent[0]), default=(0, None, None)
    )
    usual = [
        max(_silences(attempt))
        for run in (trace, *trace.related)
        for call in run.calls
        for attempt in call.attempts[-1:]
        if call.answered and not attempt.meets_fault and worst is not None
    ]
    if worst is None or attempt is None or not usual or silence < max(_LONG, _FAR_ABOVE * max(usual)):
        return None
    ended, by = attempt.end, "had no time-out that ended it"
    if ended is not None and (ended.error or ended.closed):
        by = "gave up only then" if attempt is worst.attempts[-1] else "tried again only then"
    return Finding(
        rule="no-read-timeout",
        fact=f"{trace.name(worst)} brought nothing for {duration.show(silence)}, and its program {by}; in "
        f"{number_of(len(usual), 'other answer')} nothing came for {duration.show(max(usual))} at most",
        remedy="give the client a read time-out a few times as long as the longest gap (timeout=), and limit the whole "
        "wait too: pings end no read time-out",
        cost=silence - max(usual),
        calls=(worst.number,),
    )


def gave_up(trace: Trace) -> Finding | None:
    """Find a call that failed in a way that passes, after which the program sent nothing more.

    Silent where it was tried again, or another request followed; about time-outs, which have taken the time there was;
    and where the API asked to wait for more than ten seconds.
    """
    calls = [
        call
        for call in trace.calls
        if _may_pass(call.attempts[-1])
        and len(call.attempts) == 1
        and not _is_asked_again(trace, call)
        and not any(other.sent >= call.over for other in trace.calls if other is not call)
    ]
    if not calls:
        return None
    first = calls[0]
    reason = failure(first.attempts[-1]) or first.timeline.error
    return Finding(
        rule="gave-up",
        fact=f"{trace.name(first)} ended with {reason} after {duration.show(first.breakdown.total)}, and the program "
        "sent nothing more" + trace.and_others(calls),
        remedy="try again after a short pause, as the SDK does (max_retries), or ask another model",
        cost=sum(call.breakdown.time_in(Part.REFUSED) for call in calls),
        calls=numbers(calls),
    )


def _is_truncated(call: PromptCall) -> bool:
    """Return whether a stream ended before its last event, in order, while the program was reading."""
    last, timeline = call.attempts[-1], call.timeline
    return (
        timeline.streamed
        and succeeded(last)
        and last.end is not None
        and (last.end.error, last.end.closed) == (None, None)
        and timeline.error is None
        and timeline.complete is None
        and timeline.stop_reason is None
        and bool(timeline.deltas)
    )


def _is_asked_again(trace: Trace, call: PromptCall) -> bool:
    content = call.attempts[-1].request.content
    return any(
        other is not call and other.sent >= call.sent and other.attempts[0].request.content == content
        for other in trace.calls
    )


def _silences(attempt: Exchange) -> list[Nanoseconds]:
    """Return the times in which an attempt brought no content. Signs of life are none."""
    over = 0 if attempt.end is None else attempt.end.at
    instants = [0, *(delta.at for delta in read(attempt).deltas), over]
    return [later - earlier for earlier, later in pairwise(instants)]


def _may_pass(attempt: Exchange) -> bool:
    """Return whether an attempt failed in a way that may be over soon."""
    response, end = attempt.response, attempt.end
    if response is None or response.status < 400:
        broke = end is not None and end.error is not None and "Timeout" not in end.error
        return broke or read(attempt).failed is not None
    after = header(response.headers, "retry-after") or ""
    asks_for_long = after.isdecimal() and int(after[:7]) * SECOND > _LONG
    return may_succeed_later(response) and not asks_for_long
