"""Rules about a program that kept an answer, a task or a timer waiting.

A replay knows when everything was due, so these times are exact. In a run that calls the API they are the lag of the
event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.lateness import late_spans
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers, ran_together
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.metrics.timeline import Timeline
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.virtual_time import EVERY_THREAD, Hold, place_of_hold

_LEAST_BLOCK = 50 * MILLISECOND  # a loop that is held for less is no pause that anyone notices
_LEAST_LATE = 200 * MILLISECOND
_LEAST_SHARE = 0.1  # of the call: every reader takes some time
_AT_ONCE: Final = 20 * MILLISECOND  # after a hold: in the first turns of the loop
_MOST_NAMES = 3
_SYNC_CLIENT: Final = "a sync client"
_COMPUTING: Final = "the program's own computing"
_REMEDIES: Final = {
    "time.sleep": "await asyncio.sleep(...) in its place, or run what sleeps with asyncio.to_thread",
    _SYNC_CLIENT: "an async client, such as AsyncAnthropic, or run the sync one with asyncio.to_thread",
}
_OTHER_REMEDY: Final = "run it with asyncio.to_thread, or take what asyncio has for it (asyncio.Lock, asyncio.Queue)"


class _Block(NamedTuple):
    """A stretch in which an event loop was held while something was due."""

    hold: Hold
    what: str
    where: str
    cost: Nanoseconds
    due: tuple[str, ...]
    calls: tuple[PromptCall, ...]


def blocked_loop(trace: Trace) -> Finding | None:
    """Find what held an event loop while tasks, timers or pieces of answers were due.

    Silent where nothing was due meanwhile: then nobody waited for it.
    """
    culprits: dict[tuple[str, str], list[_Block]] = {}
    for block in _blocks(trace):
        culprits.setdefault((block.what, block.where), []).append(block)
    if not culprits:
        return None

    # one finding, about the place that cost most: mending it shows what the next one really costs
    def weight(blocks: list[_Block]) -> tuple[bool, Nanoseconds]:
        holds_judged = any(call.number == trace.judged for block in blocks for call in block.calls)
        return holds_judged, sum(block.cost for block in blocks)

    (what, where), blocks = max(culprits.items(), key=lambda item: weight(item[1]))
    cost = sum(block.cost for block in blocks)
    if cost < _LEAST_BLOCK:
        return None
    times = f", {len(blocks)} times" if len(blocks) > 1 else ""
    place = f" at {where}" if where else ""
    names = list(dict.fromkeys(name for block in blocks for name in block.due))
    shown = ", ".join(names[:_MOST_NAMES])
    more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    del culprits[what, where]
    also = ""
    if len(culprits) == 1:
        (other, line), same = culprits.popitem()
        also = f"; {other}{f' at {line}' if line else ''} held it for {_span(same)} too"
    elif culprits:
        also = f"; {len(culprits)} other places held it too"
    return Finding(
        rule="blocked-loop",
        fact=f"the event loop stood still for {_span(blocks)}{times} in {what}{place}; "
        f"due meanwhile: {shown}{more}{also}",
        remedy=_REMEDIES.get(what, _OTHER_REMEDY),
        cost=cost,
        calls=tuple(sorted({call.number for block in blocks for call in block.calls})),
    )


def _span(blocks: Iterable[_Block]) -> str:
    return duration.show(sum(block.hold.length for block in blocks))


def slow_consumer(trace: Trace) -> Finding | None:
    """Find calls whose program took pieces of the answer long after they had come.

    Silent where an event loop was held, which is another finding, and about the little time that every reader takes.
    """
    late = {call.number: _made_longer(trace, call) for call in trace.calls}
    calls = [
        call
        for call in trace.calls
        if late[call.number] >= max(_LEAST_LATE, _LEAST_SHARE * call.breakdown.total) and call.timeline.streamed
    ]
    if not calls:
        return None
    worst = trace.worst(calls, key=lambda call: late[call.number])
    spans = list(_late_in(worst))
    waits = [hold for hold in trace.holds if not hold.is_loop and any(_overlap(hold, span) for span in spans)]
    where = ""
    if of_thread := [hold for hold in waits if hold.thread == worst.attempts[-1].thread]:
        longest = max(of_thread, key=lambda hold: hold.length)
        what, line = place_of_hold(longest)
        same = sum(hold.length for hold in of_thread if place_of_hold(hold) == (what, line))
        where = f", {duration.show(same)} of that in {what} at {line}"
    elif any(hold.thread == EVERY_THREAD and _overlap(hold, span) for hold in trace.holds for span in spans):
        where = ", while no thread of Python ran: code in C kept the interpreter, or others kept the machine"
    last = worst.attempts[-1]
    # Computing takes no time in a replay: it is the recording that holds it.
    is_in_recording = any(chunk.late for chunk in (last.recorded or last).chunks)
    when = " while it was recorded" if is_in_recording and not where else ""
    return Finding(
        rule="slow-consumer",
        fact=f"the program took {number_of(len(spans), 'part')} of {trace.name(worst)} late{when}, so it took "
        f"{duration.show(late[worst.number])} longer than the answer: {duration.show(worst.breakdown.total)}{where}"
        + trace.and_others(calls),
        remedy="read the answer as it comes, and do the rest in another task or thread"
        + ("; then record again" if is_in_recording else ""),
        cost=sum(late[call.number] for call in calls),
        costs=tuple(late[call.number] for call in calls),
        calls=numbers(calls),
    )


def _blocks(trace: Trace) -> Iterator[_Block]:
    # A loop's hold is from one look at its selector to the next, so it is the longer of two that lie in each other.
    loops = [hold for hold in trace.holds if hold.is_loop]
    # A task that reads on alone takes no turn of the loop, so what it blocks is noted as a wait only.
    alone = [
        hold
        for hold in trace.holds
        if hold.in_loop and not hold.is_loop and not any(_within(hold, loop) for loop in loops)
    ]
    for hold in (*loops, *alone):
        named = [(due.instant, due.name) for due in hold.due if due.instant < hold.end]
        calls = []
        for call in trace.calls:
            if call.attempts[-1].thread != hold.thread:
                continue
            starts = [max(start, hold.start) for start, end in _late_in(call) if _overlap(hold, (start, end))]
            if starts:
                named.append((min(starts), f"the next part of {trace.name(call)}"))
                calls.append(call)
        named += [(due, f"{trace.name(call)}, which is sent only then") for due, call in _sent_late(trace, hold)]
        for piece, (what, where) in _pieces(trace, hold):
            due = sorted(item for item in named if item[0] < piece.end)
            if due:
                # nothing was lost before the first of these was due, however long the hold had lasted by then
                cost = piece.end - max(due[0][0], piece.start)
                yield _Block(piece, what, where, cost, tuple(name for _, name in due), tuple(calls))


def _sent_late(trace: Trace, hold: Hold) -> Iterator[tuple[Nanoseconds, PromptCall]]:
    """Yield the calls that waited for the end of a hold to be sent, and when they were due.

    While recording, such a call was sent during another one, which now lies wholly in the hold.
    """
    if not hold.is_loop:
        return
    within = [call for call in trace.calls if hold.start <= call.sent and call.over <= hold.end]
    for call in trace.calls:
        if call.attempts[0].thread != hold.thread or not hold.end <= call.sent <= hold.end + _AT_ONCE:
            continue
        for other in within:
            if ran_together(other, call) and other.recorded_span is not None and call.recorded_span is not None:
                yield max(other.sent + call.recorded_span[0] - other.recorded_span[0], hold.start), call
                break


def _pieces(trace: Trace, hold: Hold) -> Iterator[tuple[Hold, tuple[str, str]]]:
    """Yield what held a loop one after the other, and where: in one turn it may run several tasks that hold it."""
    if not hold.is_loop:
        yield hold, place_of_hold(hold)
        return
    waits = [wait for wait in trace.holds if not wait.is_loop and _within(wait, hold)]
    held: list[tuple[Nanoseconds, tuple[str, str]]] = []  # until when, and by what
    reached = hold.start
    for wait in sorted(waits, key=lambda wait: wait.start):
        if wait.start - reached >= _LEAST_BLOCK:
            held.append((wait.start, _without_wait(trace, hold._replace(start=reached, end=wait.start))))
        if held and held[-1][1] == place_of_hold(wait):
            held.pop()
        reached = max(wait.end, reached)
        held.append((reached, place_of_hold(wait)))
    if hold.end - reached >= _LEAST_BLOCK or not held:
        held.append((hold.end, _without_wait(trace, hold._replace(start=reached))))
    start = hold.start
    for place, (end, culprit) in enumerate(held, start=1):
        piece = hold._replace(start=start, end=hold.end if place == len(held) else end)
        yield piece, culprit
        start = piece.end


def _without_wait(trace: Trace, hold: Hold) -> tuple[str, str]:
    """Return what held a loop where no wait was noted: a call of a sync client, or else the program's computing."""
    for call in trace.calls:
        # Only a client that blocks the thread can get something in a time in which the loop takes no turn.
        for attempt in call.attempts:
            is_here = attempt.thread == hold.thread and attempt.recorded is not None  # live, everything takes some time
            offsets = [chunk.at for chunk in attempt.chunks] + [attempt.response.at if attempt.response else 0]
            instants = [attempt.sent + at for at in offsets]
            # Sent and answered within it, even if the answer's last byte ended it.
            is_whole = hold.start <= attempt.sent < max(instants) == hold.end and not any(_late_in(call))
            if is_here and (is_whole or any(hold.start < instant < hold.end for instant in instants)):
                return _SYNC_CLIENT, call.line or trace.name(call)
    return _COMPUTING, ""


def _made_longer(trace: Trace, call: PromptCall) -> Nanoseconds:
    """Return for how long a call took longer since its program took parts late, without the time of held loops."""
    thread = call.attempts[-1].thread
    late = call.breakdown.time_in(Part.APPLICATION)
    reached: Nanoseconds = 0
    # A loop's hold contains the waits that made it, so what two holds have in common is taken off once.
    for start, end in sorted((hold.start, hold.end) for hold in trace.holds if hold.in_loop and hold.thread == thread):
        late -= sum(max(min(until, end) - max(since, start, reached), 0) for since, until in _late_in(call))
        reached = max(reached, end)
    # A part that was taken late and made up for costs nothing: what counts is how much sooner the end could have come.
    due = Timeline.of((*call.attempts[:-1], call.due)).total
    return late if due is None else min(late, max(call.breakdown.total - due, 0))


def _late_in(call: PromptCall) -> Iterator[tuple[Nanoseconds, Nanoseconds]]:
    """Yield when a part of the call's answer was there and not yet taken, since the start of the test."""
    last = call.attempts[-1]
    for start, end in late_spans(last, call.due):
        if last.sent + start < call.over:
            yield last.sent + start, min(last.sent + end, call.over)


def _overlap(hold: Hold, span: tuple[Nanoseconds, Nanoseconds]) -> bool:
    return hold.start < span[1] and span[0] < hold.end


def _within(inner: Hold, outer: Hold) -> bool:
    return inner.thread == outer.thread and outer.start <= inner.start and inner.end <= outer.end
