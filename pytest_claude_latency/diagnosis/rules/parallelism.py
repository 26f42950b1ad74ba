"""Rules about what lies between and around answers: order, retries, connections, stalls, the application."""

from __future__ import annotations

from urllib.parse import urlsplit

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.attribution import stalls, usual_gap
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.messages_api.exchange import header
from pytest_claude_latency.messages_api.quotes import quotes_an_answer
from pytest_claude_latency.messages_api.retries import failure
from pytest_claude_latency.plurals import number_of

_LEAST_GAIN = 200 * MILLISECOND
_TELLING = 12  # words: so long an answer is made to be read, not to choose by
_KEPT_OPEN = 5 * SECOND  # how long the SDK's pool keeps an idle connection
_APPLICATION_SHARE = 0.2
_LEAST_APPLICATION = 200 * MILLISECOND
_PIECES = {"text": "text", "thinking": "thinking", "input_json": "a tool's input"}


def one_after_another(trace: Trace) -> Finding | None:
    """Calls ran one after another, and none quotes an answer to an earlier one.

    Silent where a later request holds something that an earlier answer said, goes on with its conversation, asks the
    same again, or does other work after a short answer, by which the program may have chosen it.
    """
    group = max(_independent_groups(trace), key=_gain, default=[])
    if len(group) < 2 or not trace.matters(_gain(group)) or _gain(group) < _LEAST_GAIN:
        return None
    longest = max(call.breakdown.total for call in group)
    return Finding(
        rule="one-after-another",
        fact=f"calls {_range(numbers(group))} ran one after another, {duration.show(_sum(group))} in all, and no text "
        "of an earlier answer stands in a later request",
        remedy="could they run together? Only you know whether one needs another",
        cost=_gain(group),
        saving=Saving(
            span=_gain(group), how=f"if all take the {duration.show(longest)} of the longest", calls=len(group)
        ),
        calls=numbers(group),
    )


def _independent_groups(trace: Trace) -> list[list[PromptCall]]:
    """Runs of calls, one after another, each of them independent of all before it in its run."""
    groups: list[list[PromptCall]] = []
    for call in trace.calls:
        if groups and call.answered and all(_could_run_together(each, call) for each in groups[-1]):
            groups[-1].append(call)
        else:
            groups.append([call] if call.answered else [])
    return [group for group in groups if len(group) > 1]


def _could_run_together(earlier: PromptCall, later: PromptCall) -> bool:
    if later.sent < earlier.over or not _is_unchosen(earlier, later):
        return False
    before, after = earlier.body.get("messages"), later.body.get("messages")
    again = before == after and _is_same(earlier, later, "system", "tools")
    if again or not isinstance(before, list) or not isinstance(after, list):
        return False
    goes_on = len(after) > len(before) and after[: len(before)] == before
    return not goes_on and not quotes_an_answer(later.attempts[0].request, later.sent, earlier.attempts)


def _is_unchosen(earlier: PromptCall, later: PromptCall) -> bool:
    """Whether the program made the later call whatever the answer to the earlier one was, as far as one can tell."""
    alike = _is_same(earlier, later, "model", "system", "tools")
    return alike or len(earlier.text.split()) >= _TELLING


def _is_same(one: PromptCall, other: PromptCall, *fields: str) -> bool:
    return all(one.body.get(name) == other.body.get(name) for name in fields)


def _sum(calls: list[PromptCall]) -> Nanoseconds:
    return sum(call.breakdown.total for call in calls)


def _gain(calls: list[PromptCall]) -> Nanoseconds:
    return _sum(calls) - max(call.breakdown.total for call in calls)


def _range(numbers: tuple[int, ...]) -> str:
    return f"{numbers[0]} and {numbers[1]}" if len(numbers) == 2 else f"{numbers[0]} to {numbers[-1]}"


def retries(trace: Trace) -> Finding | None:
    """Attempts were refused or broke off, and were made again after a pause."""
    found = [call for call in trace.calls if call.breakdown.failures]
    cost = sum(call.breakdown.of(Part.REFUSED, Part.BACK_OFF) for call in found)
    if not found:
        return None
    refusals = [refusal for call in found for refusal in _refusals(call)]
    shown = ", ".join(dict.fromkeys(refusals))
    where = trace.name(found[0]) if len(found) == 1 else f"{len(found)} calls"
    pauses = sum(call.breakdown.of(Part.BACK_OFF) for call in found)
    return Finding(
        rule="retries",
        fact=f"{duration.show(cost)} of {where} went into {number_of(len(refusals), 'attempt')} without an answer "
        f"({shown}), {duration.show(pauses)} of it into pauses between them",
        remedy=_against(refusals),
        cost=cost,
        calls=numbers(found),
    )


def _refusals(call: PromptCall) -> list[str]:
    """What was refused, with the time to come back that the API named: `"429, retry-after 2"`."""
    found = []
    for attempt in call.attempts:
        why = failure(attempt)
        if why is None:
            continue
        headers = attempt.response.headers if attempt.response else ()
        after = header(headers, "retry-after")
        found.append(f"{why}, retry-after {after}" if after and after[:6].replace(".", "").isdigit() else why)
    return found


def _against(refusals: list[str]) -> str:
    if any(each.startswith("429") for each in refusals):
        return "spread the requests, or raise the rate limit; record again for a measurement without"
    if any(each[:1] in "45" for each in refusals):
        return "the API was busy: record again for a measurement without, and give users a time-out they can live with"
    return "see what lies between the program and the API; record again for a measurement without"


def new_connections(trace: Trace) -> Finding | None:
    """Each call opened a connection of its own.

    Silent about the first, and where no connection was free: calls side by side, another host, a pause after which
    the pool closes what is idle.
    """
    again = [
        call
        for place, call in enumerate(trace.calls)
        if any(_left_open(earlier, call) for earlier in trace.calls[:place])
    ]
    opened = [call for call in again if call.attempts[0].connect is not None]
    cost = sum(call.breakdown.of(Part.CONNECTION) for call in opened)
    if not opened or len(opened) < len(again) or not trace.matters(cost):
        return None
    return Finding(
        rule="new-connections",
        fact=f"{number_of(len(opened), 'call')} after the first opened a new connection, "
        f"which took {duration.show(cost)}",
        remedy="share one client among the calls",
        cost=cost,
        saving=Saving(span=cost, how="with one client", calls=len(opened)),
        calls=numbers(opened),
    )


def _left_open(earlier: PromptCall, call: PromptCall) -> bool:
    """Whether a client that both shared would have had a connection ready."""
    last = earlier.attempts[-1]
    whole = last.end is not None and last.end.error is None and last.end.closed is None
    over = last.sent + (last.end.at if last.end else 0)
    return whole and 0 <= call.sent - over < _KEPT_OPEN and _host(earlier) == _host(call)


def _host(call: PromptCall) -> str:
    return urlsplit(call.attempts[0].request.url).netloc


def stall(trace: Trace) -> Finding | None:
    """An answer stopped in its middle for far longer than between its other pieces."""
    found = [call for call in trace.calls if call.breakdown.of(Part.STALLED)]
    cost = sum(call.breakdown.of(Part.STALLED) for call in found)
    if not found or not trace.matters(cost):
        return None
    worst = max(found, key=lambda call: max(_stalls(call), key=lambda each: each[1])[1])
    place, gap = max(_stalls(worst), key=lambda each: each[1])
    deltas, usual = worst.timeline.deltas, usual_gap(worst.timeline.deltas) or 0
    return Finding(
        rule="stall",
        fact=f"{trace.name(worst)} stalled for {duration.show(gap)}, {duration.show(deltas[place].at)} after it was "
        f"sent, behind piece {place + 1} of {len(deltas)} ({_PIECES[deltas[place].kind]}); the usual gap is "
        f"{duration.show(usual)}" + trace.and_others(found),
        remedy="record again: if it comes back, tell the API's support the request id; show readers that it goes on",
        cost=cost,
        saving=Saving(span=max(gap - usual, 0), how="without it", calls=1),
        calls=numbers(found),
    )


def _stalls(call: PromptCall) -> list[tuple[int, Nanoseconds]]:
    """The places of the pieces that a stall followed, and how long it was; the last one may be followed by an error."""
    deltas = call.timeline.deltas
    last = (len(deltas) - 1, (call.timeline.total or 0) - deltas[-1].at)
    found = [(place, deltas[place + 1].at - deltas[place].at) for place in stalls(deltas)]
    return found if call.timeline.error is None else [*found, last]


def application(trace: Trace) -> Finding | None:
    """The program itself took much of the time, while it waited for no request."""
    cost = trace.breakdown.of(Part.APPLICATION)
    total = trace.breakdown.total
    if cost < max(_LEAST_APPLICATION, _APPLICATION_SHARE * total):
        return None
    gaps = [
        (each.end - each.start, f"between {_request(trace, before.call)} and {_request(trace, after.call)}")
        for before, each, after in zip(
            trace.breakdown.path, trace.breakdown.path[1:], trace.breakdown.path[2:], strict=False
        )
        if each.call is None
    ]
    longest = max(gaps, default=None)
    where = (
        f", {duration.show(longest[0])} of it {longest[1]}" if longest else ", reading on after an answer was complete"
    )
    return Finding(
        rule="application",
        fact=f"{duration.show(cost)} of {duration.show(total)} passed in the application{where}",
        remedy="look there: the API was not waited for",
        cost=cost,
    )


def _request(trace: Trace, place: int | None) -> str:
    return "the application" if place is None else trace.request(place)
