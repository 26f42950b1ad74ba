"""Breakdowns: where the time of a call, or of a whole test, went. The parts add up to the nanosecond.

A call is cut at the instants of its own answer. A test is cut along its critical path: from its
end backwards, at each instant the call that was waited for, and the application where none was.
What ran beside that path cost no time, so it is in no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from pytest_claude_latency.diagnosis.breakdown import Breakdown, Part, Segment, merged
from pytest_claude_latency.diagnosis.critical_path import Stretch, critical_path
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.messages_api.answer import Delta
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.retries import Attempts, ended, failure
from pytest_claude_latency.metrics.timeline import Timeline

_LEAST_STALL: Nanoseconds = 500 * MILLISECOND
_STALL_FACTOR = 5
_FEWEST_GAPS = 3


def of_call(attempts: Attempts, now: Nanoseconds | None = None) -> Breakdown:
    """Where the time of one call went, from its first attempt sent to its `total`.

    `now`, an instant since the start of the test, is where a call ends that is still under way; without it that is the
    last that is known of it.

    Raises:
        ValueError: there is no exchange.
    """
    timeline = Timeline.of(attempts)
    total = _total(attempts, timeline, now)
    segments = tuple(merged([*_before_the_last(attempts), *_last(attempts, timeline, total)], total))
    return Breakdown(
        segments=segments,
        tokens=_answer_tokens(timeline, segments),
        failures=tuple(_failures(attempts, timeline)),
        gave_up=timeline.error is not None and not timeline.deltas,
        answered=bool(timeline.deltas),
    )


def of_test(calls: Sequence[Attempts], now: Nanoseconds | None = None) -> Breakdown | None:
    """Where the time of a test went, from its first request sent to its last answer ended; None without a request.

    `calls` are all its calls, those that make no message too; for `now` see `of_call`.
    """
    if not calls:
        return None
    found = [of_call(attempts, now) for attempts in calls]
    origin = min(attempts[0].sent for attempts in calls)
    spans = [_span(attempts, each, now) for attempts, each in zip(calls, found, strict=True)]
    path = critical_path([(start - origin, end - origin) for start, end in spans])
    segments: list[Segment] = []
    for stretch in path:
        if stretch.call is None:
            segments.append(Segment(Part.APPLICATION, stretch.start, stretch.end))
        else:
            place = stretch.call - 1
            segments += _clipped(found[place], calls[place][0].sent - origin, stretch)
    on_path = sorted({stretch.call - 1 for stretch in path if stretch.call is not None})
    prompts = [found[each] for each in on_path if is_prompt_call(calls[each][0].request)]
    known = [each.tokens for each in prompts if each.of(Part.ANSWERING, Part.WHOLE)]
    return Breakdown(
        segments=tuple(merged(segments, path[-1].end)),
        tokens=None if None in known else sum(each or 0 for each in known),
        failures=tuple(each for prompt in prompts for each in prompt.failures),
        gave_up=any(each.gave_up for each in prompts),
        answered=any(each.answered for each in prompts),
        calls=len(prompts),
        path=path,
    )


def usual_gap(deltas: Sequence[Delta]) -> Nanoseconds | None:
    """The usual time between two pieces of content; None where there are too few to say."""
    short = [gap for _, gap in _gaps(deltas) if gap < _LEAST_STALL]
    return sum(short) // len(short) if len(short) >= _FEWEST_GAPS else None


def stalls(deltas: Sequence[Delta]) -> list[int]:
    """The places of the pieces of content after which nothing came for far longer than usual."""
    usual = usual_gap(deltas)
    if usual is None:
        return []
    return [place for place, gap in _gaps(deltas) if gap >= max(_LEAST_STALL, _STALL_FACTOR * usual)]


# ── one call ──


def _total(attempts: Attempts, timeline: Timeline, now: Nanoseconds | None) -> Nanoseconds:
    """The end of the call, since it was sent."""
    if timeline.total is not None:
        return timeline.total
    if now is not None:
        return max(now - timeline.sent, 0)
    last = attempts[-1]
    arrived = last.chunks[-1].at if last.chunks else last.response.at if last.response else 0
    return last.sent - timeline.sent + arrived


def _before_the_last(attempts: Attempts) -> Iterator[Segment]:
    """The attempts that another followed, and the pauses after them."""
    origin = attempts[0].sent
    for attempt, following in pairwise(attempts):
        start, next_sent = attempt.sent - origin, following.sent - origin
        over = min(ended(attempt, following.sent) - origin, next_sent)
        if attempt.is_redirect:
            yield Segment(Part.CONNECTION, start, next_sent)
        else:
            yield Segment(Part.REFUSED, start, over)
            yield Segment(Part.BACK_OFF, over, next_sent)


def _last(attempts: Attempts, timeline: Timeline, total: Nanoseconds) -> Iterator[Segment]:
    """The attempt that ended the call."""
    last = attempts[-1]
    start = last.sent - timeline.sent
    if not is_prompt_call(attempts[0].request):
        yield Segment(Part.OTHER, start, total)
        return
    if timeline.error is not None and not timeline.deltas:
        yield Segment(Part.REFUSED, start, total)
        return
    opened = start
    if last.connect is not None:
        opened = min(start + last.connect.at + last.connect.duration, _first_sign(timeline, total))
        yield Segment(Part.CONNECTION, start, opened)
    if not timeline.streamed:
        yield Segment(Part.WHOLE if timeline.deltas else Part.WAITING, opened, total)
        return
    yield from _content(timeline, opened, total)


def _first_sign(timeline: Timeline, total: Nanoseconds) -> Nanoseconds:
    return total if timeline.headers is None else timeline.headers


def _content(timeline: Timeline, opened: Nanoseconds, total: Nanoseconds) -> Iterator[Segment]:
    """A streamed answer: what each piece of content begins lasts until the next one."""
    marks = _marks(timeline)
    yield Segment(Part.WAITING, opened, marks[0][0] if marks else total)
    for (at, part), (following, _) in pairwise([*marks, (total, Part.ANSWERING)]):
        yield Segment(part, at, following)


def _marks(timeline: Timeline) -> list[tuple[Nanoseconds, Part]]:
    """When something of the answer began, and what. Of thinking that is not shown that is the start of its block."""
    stalled = set(stalls(timeline.deltas))
    if timeline.error is not None and _broke_off_late(timeline):
        stalled.add(len(timeline.deltas) - 1)
    marks = [
        (delta.at, Part.STALLED if place in stalled else _part(delta)) for place, delta in enumerate(timeline.deltas)
    ]
    marks += [(at, Part.THINKING) for at in timeline.thinking if not _is_shown(at, timeline.deltas)]
    return sorted(marks, key=lambda mark: mark[0])


def _is_shown(began: Nanoseconds, deltas: Sequence[Delta]) -> bool:
    """Whether the block of thinking that began then has text: the next piece of content is its own."""
    following = next((delta for delta in deltas if delta.at >= began), None)
    return following is not None and following.kind == "thinking"


def _part(delta: Delta) -> Part:
    return Part.THINKING if delta.kind == "thinking" else Part.ANSWERING


def _broke_off_late(timeline: Timeline) -> bool:
    """Whether an error ended the answer after a silence far above the usual."""
    usual, end = usual_gap(timeline.deltas), timeline.total
    if usual is None or end is None:
        return False
    return end - timeline.deltas[-1].at >= max(_LEAST_STALL, _STALL_FACTOR * usual)


def _gaps(deltas: Sequence[Delta]) -> Iterator[tuple[int, Nanoseconds]]:
    """The gaps within one kind of text. The API holds a tool's input back until a value is whole: no stall."""
    for place, (earlier, later) in enumerate(pairwise(deltas)):
        if earlier.kind == later.kind != "input_json":
            yield place, later.at - earlier.at


def _failures(attempts: Attempts, timeline: Timeline) -> Iterator[str]:
    for attempt in attempts[:-1]:
        if not attempt.is_redirect:
            yield failure(attempt) or "failure"
    if timeline.error is not None and not timeline.deltas:
        yield failure(attempts[-1]) or timeline.error


def _answer_tokens(timeline: Timeline, segments: Iterable[Segment]) -> int | None:
    usage = timeline.usage
    if usage.output is None or not usage.final:
        return None
    if usage.thinking is None:
        return None if any(each.part is Part.THINKING for each in segments) else usage.output
    return max(usage.output - usage.thinking, 0)


# ── a test ──


def _span(attempts: Attempts, found: Breakdown, now: Nanoseconds | None) -> tuple[Nanoseconds, Nanoseconds]:
    """From when to when a call kept the wire, since the start of the test."""
    start = attempts[0].sent
    complete = start + found.total
    return start, max(complete, *(ended(each, complete if now is None else now) for each in attempts))


def _clipped(found: Breakdown, sent: Nanoseconds, stretch: Stretch) -> Iterator[Segment]:
    """What a call spent the stretch on. After its answer was complete the program was at work, reading to the end."""
    reached = stretch.start
    for each in found.segments:
        start, end = max(sent + each.start, stretch.start), min(sent + each.end, stretch.end)
        if start < end:
            yield Segment(each.part, start, end)
            reached = end
    yield Segment(Part.APPLICATION, reached, stretch.end)
