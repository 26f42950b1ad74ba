"""Rules about what lies between the program and an answer: retries, connections, stalls."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.attribution import latest, stalls, usual_gap
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.messages_api.exchange import header
from pytest_claude_latency.messages_api.retries import failure
from pytest_claude_latency.plurals import number_of

_KEPT_OPEN = 5 * SECOND  # how long the SDK's pool keeps an idle connection
_LIMITS = ("requests", "input-tokens", "output-tokens", "tokens")
_LITTLE = 0.1  # of a rate limit: what is left then is less than many a request needs
_LONG_PAUSE = 2 * SECOND  # longer than the SDK pauses of itself before both its retries: the API asked for it
# The time-out of a client is for one attempt and ends no pause.
_GIVE_UP = "give the whole call a time-out that users can accept"
_WAIT_LESS = "do not wait so long: max_retries=0, or a time-out around the whole call, and then another model"
_PIECES = {"text": "text", "thinking": "thinking", "input_json": "a tool's input"}


def retries(trace: Trace) -> Finding | None:
    """Find attempts that were refused or broke off, and were made again after a pause."""
    calls = [call for call in trace.calls if call.breakdown.failures and trace.judged in (None, call.number)]
    if not calls:
        return None
    costs = tuple(call.breakdown.time_in(Part.REFUSED, Part.BACK_OFF) for call in calls)
    cost = sum(costs)
    pauses = sum(call.breakdown.time_in(Part.BACK_OFF) for call in calls)
    failures = []
    for attempt in (attempt for call in calls for attempt in call.attempts):
        if (reason := failure(attempt)) is not None:
            after = header(attempt.response.headers if attempt.response else (), "retry-after")
            # only a number is shown: a header may hold anything
            is_number = after is not None and after[:6].replace(".", "").isdigit()
            text = f"{reason}, retry-after {after}" if is_number else reason
            failures.append(f"{text}, injected" if attempt.meets_fault else text)
    where = trace.name(calls[0]) if len(calls) == 1 else f"{len(calls)} calls"
    segments = [segment for call in calls for segment in call.breakdown.segments]
    waits_long = any(segment.part is Part.BACK_OFF and segment.length >= _LONG_PAUSE for segment in segments)
    # A 429 is the limit of the account and no fault of the API. It is asked for first, since it is the one kind that
    # the program can end by itself.
    if any(text.endswith("injected") for text in failures):
        # What the test itself put there says nothing about limits and networks, and is in no recording.
        remedy = _WAIT_LESS if waits_long else _GIVE_UP
    elif any(text.startswith("429") for text in failures):
        limits = " and ".join(dict.fromkeys(name for call in calls for name in _limits_used_up(trace, call)))
        remedy = "spread the requests, or raise the rate limit" + (f" of {limits}" if limits else "")
        remedy = f"{_WAIT_LESS}; {remedy}" if waits_long else remedy
    elif any(text[:1] in "45" for text in failures):
        remedy = _WAIT_LESS if waits_long else f"the API was busy: {_GIVE_UP}"
    else:
        remedy = "check the network between the program and the API"
    if not trace.has_fault and not any(text.endswith("injected") for text in failures):
        remedy += "; record again for a measurement without retries"
    return Finding(
        rule="retries",
        fact=f"{duration.show(cost)} of {where} went into {number_of(len(failures), 'attempt')} without an answer "
        f"({', '.join(dict.fromkeys(failures))})"
        + (f", {duration.show(pauses)} of it into pauses between them" if pauses else ""),
        remedy=remedy,
        cost=cost,
        costs=costs,
        calls=numbers(calls),
    )


def _limits_used_up(trace: Trace, call: PromptCall) -> Iterator[str]:
    """Yield the rate limits of which less than a tenth was left when a call was refused with 429."""
    refused = [attempt for attempt in call.attempts if attempt.response and attempt.response.status == 429]
    if not refused:
        return
    first = refused[0]
    # The refusal itself may not say it; then the last answer before it does.
    earlier = [
        attempt
        for other in trace.calls
        for attempt in other.attempts
        if attempt.response and attempt.sent + attempt.response.at <= first.sent
    ]
    latest = max(earlier, key=lambda attempt: attempt.sent, default=None)
    for attempt in (first, latest):
        headers = dict(attempt.response.headers) if attempt is not None and attempt.response else {}
        names = []
        for name in _LIMITS:
            limit, left = (headers.get(f"anthropic-ratelimit-{name}-{end}", "") for end in ("limit", "remaining"))
            # the headers may not tell
            if limit.isdecimal() and left.isdecimal() and int(limit) and int(left) / int(limit) < _LITTLE:
                names.append(name.replace("-", " "))
        if names:
            yield from names
            return


def new_connections(trace: Trace) -> Finding | None:
    """Find calls that each opened a connection of their own.

    Silent about the first call, and where no connection was free: calls at the same time, another host, a pause after
    which the pool closes what is idle.
    """
    # The connections that one client would have, each as the last call on it: calls at the same time need several.
    pool: list[PromptCall] = []
    could_reuse = []
    for call in trace.calls:
        free = next((place for place, last in enumerate(pool) if _left_a_connection(last, call)), None)
        if free is None:
            pool.append(call)
        else:
            pool[free] = call
            could_reuse.append(call)
    # the first attempt only: a retry often needs a new connection, since the failure closed the old one
    opened = [call for call in could_reuse if call.attempts[0].connect is not None]
    costs = tuple(call.breakdown.time_in(Part.CONNECTION) for call in opened)
    cost = sum(costs)
    # one call that did reuse a connection shows that the client is shared
    if not opened or len(opened) < len(could_reuse) or not trace.matters(cost):
        return None
    return Finding(
        rule="new-connections",
        fact=f"{number_of(len(opened), 'call')} after the first opened a new connection, "
        f"which took {duration.show(cost)}",
        remedy="share one client between the calls",
        cost=cost,
        costs=costs,
        saving=Saving(span=cost, how="with one client", calls=len(opened)),
        calls=numbers(opened),
    )


def _left_a_connection(earlier: PromptCall, later: PromptCall) -> bool:
    """Whether a client that both shared would have had an open connection for the later call."""
    # a pool does not reuse a connection that broke, or on which an answer was not read to its end
    last = earlier.attempts[-1]
    if last.end is None or last.end.error is not None or last.end.closed is not None:
        return False
    idle = later.sent - (last.sent + last.end.at)
    hosts = {urlsplit(call.attempts[0].request.url).netloc for call in (earlier, later)}
    return 0 <= idle < _KEPT_OPEN and len(hosts) == 1


def stall(trace: Trace) -> Finding | None:
    """Find answers that stopped in the middle for far longer than between their other pieces."""
    calls = [call for call in trace.calls if call.breakdown.time_in(Part.STALLED)]
    costs = tuple(call.breakdown.time_in(Part.STALLED) for call in calls)
    cost = sum(costs)
    if not calls or not trace.matters(cost):
        return None
    worst = trace.worst(calls, key=lambda call: _longest_stall(call)[0])
    gap, place = _longest_stall(worst)
    deltas, usual = worst.pieces, usual_gap(worst.pieces)
    if any(call.attempts[-1].meets_fault for call in calls) or trace.has_fault:
        # The test itself put it there, or made it longer: neither the API nor a new recording changes that.
        remedy = "show readers that the answer goes on, and end what takes too long with a read time-out"
    else:
        remedy = (
            "record again: if it comes back, and that run warns of nothing, give the request id to the API's support; "
            "show readers that the answer goes on"
        )
    return Finding(
        rule="stall",
        fact=f"{trace.name(worst)} stalled for {duration.show(gap)}, {duration.show(deltas[place].at)} after it was "
        f"sent, after piece {place + 1} of {len(deltas)} ({_PIECES[deltas[place].kind]})"
        + (", injected" if worst.attempts[-1].meets_fault else "")
        + (f"; the usual gap is {duration.show(usual)}" if usual is not None else "")
        + trace.and_others(calls),
        remedy=remedy,
        cost=cost,
        costs=costs,
        saving=Saving(span=max(gap - (usual or 0), 0), how="without it", calls=1),
        calls=numbers(calls),
    )


def _longest_stall(call: PromptCall) -> tuple[Nanoseconds, int]:
    """Return how long the longest stall was, and the place of the piece before it; the first of several equal ones.

    It is counted from when the pieces were due: what a program takes late is no stall of the API's.
    """
    deltas, last = call.pieces, call.attempts[-1]
    gaps = [(gap, place) for place, gap in stalls(deltas, last, latest(call.timeline.deltas, last)).items()]
    if call.timeline.error is not None:  # the silence before an error is a stall too
        gaps.append(((call.timeline.total or 0) - deltas[-1].at, len(deltas) - 1))
    return max(gaps, key=lambda stall: stall[0])
