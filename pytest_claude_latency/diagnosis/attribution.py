"""Attribution: finding out where the time of a call, or of a whole test, went. It makes a `Breakdown`.

A call is cut at the instants of its own answer. What was there and not yet taken is the program's time. A test is cut
along its critical path: followed from its end backwards, at each instant the time belongs to the call that was waited
for, or to the application if none was. What ran next to that path cost no time, so it is in no part. The parts add up
to the nanosecond.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, zip_longest

from pytest_claude_latency.diagnosis.breakdown import ANSWERS, Breakdown, Part, Segment, merged
from pytest_claude_latency.diagnosis.critical_path import Stretch, critical_path
from pytest_claude_latency.diagnosis.lateness import Span, as_due, late_spans
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.answers.content import Delta
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.messages_api.polling import Poll, may_begin, poll_of, polled
from pytest_claude_latency.messages_api.retries import Attempts, ended, failure
from pytest_claude_latency.metrics.given_up import given_up
from pytest_claude_latency.metrics.timeline import Timeline, measure
from pytest_claude_latency.virtual_time import Hold

# A stall is a gap that a reader notices and that is far above the answer's own pace. Answers of slow models have long
# gaps throughout, so a fixed length alone would call each of them a stall.
_LEAST_STALL: Nanoseconds = 500 * MILLISECOND
_STALL_FACTOR = 5
# with too few pieces to know the pace, only what no model takes for a piece of text
_STALL_OF_ANY_PACE: Nanoseconds = 10 * SECOND
_LEAST_HELD_BACK: Nanoseconds = SECOND  # of a tool's input, which usually begins at once
# with fewer gaps there is no pace to compare with
_FEWEST_GAPS = 3


def of_call(attempts: Attempts, now: Nanoseconds | None = None, holds: Sequence[Hold] = ()) -> Breakdown:
    """Return where the time of one call went, from its first attempt sent to its `total`.

    A call that is still under way ends at `now`, an instant since the start of the test. Without `now` it ends at the
    last event known of it. `holds` are the stretches in which the program held a thread.

    Raises:
        ValueError: there is no exchange.
    """
    timeline = Timeline.of(attempts)
    last = attempts[-1]
    if timeline.total is not None:
        total = timeline.total
    elif now is not None:
        # a request of another thread may have been sent after the instant at which the test was looked at
        total = max(now - timeline.sent, 0)
    else:
        arrived = last.chunks[-1].at if last.chunks else last.response.at if last.response else 0
        total = last.sent - timeline.sent + arrived
    # an error after some content is a broken answer, not a refused attempt
    gave_up = timeline.error is not None and not timeline.deltas
    # an attempt that another followed has failed, unless it was a redirect
    failures = [failure(attempt) or "failure" for attempt in attempts[:-1] if not attempt.is_redirect]
    if timeline.error is not None and gave_up:
        failures.append(failure(last) or timeline.error)
    dues = [as_due(attempt, holds) for attempt in attempts]
    # Stalls are looked for among the instants at which pieces were due, and parts are cut where the program took them.
    pieces = read(dues[-1], last.sent - timeline.sent).deltas
    whole = merged([*_earlier_attempts(attempts), *_last_attempt(attempts, timeline, total, pieces)], total)
    # of earlier attempts too: a program may be late to read a refusal, before it pauses
    late = [
        (attempt.sent - timeline.sent + start, attempt.sent - timeline.sent + end)
        for attempt, due in zip(attempts, dues, strict=True)
        for start, end in late_spans(attempt, due)
    ]
    segments = tuple(merged(_without(late, whole), total)) if late else tuple(whole)
    generated = {segment.part for segment in segments}.intersection(ANSWERS)
    return Breakdown(
        segments=segments,
        tokens=dict.fromkeys(generated, _answer_tokens(timeline, segments)),
        failures=tuple(failures),
        gave_up=gave_up,
        answered=bool(timeline.deltas),
        late=sum(segment.length for segment in segments if segment.part is Part.APPLICATION),
        is_silent=not any(delta.kind == "thinking" for delta in timeline.deltas),
    )


def of_test(calls: Sequence[Attempts], now: Nanoseconds | None = None, holds: Sequence[Hold] = ()) -> Breakdown | None:
    """Return where the time of a test went, from its first request sent to its last answer ended.

    None without a request. `calls` are all its calls, including those that make no message; for the rest see `of_call`.
    """
    if not calls:
        return None
    breakdowns = [of_call(attempts, now, holds) for attempts in calls]
    origin = min(attempts[0].sent for attempts in calls)
    path = _path_of(calls, breakdowns, origin, now)
    polls = _polls_on(path, calls)
    segments: list[Segment] = []
    late: Nanoseconds = 0
    for stretch, is_polling in zip(path, polls, strict=True):
        if is_polling:
            segments.append(Segment(Part.POLLING, stretch.start, stretch.end))
        elif stretch.call is None:
            segments.append(Segment(Part.APPLICATION, stretch.start, stretch.end))
        else:
            place = stretch.call - 1
            *within, after = _clipped(breakdowns[place], calls[place][0].sent - origin, stretch)
            late += sum(segment.length for segment in within if segment.part is Part.APPLICATION)
            segments += [*within, after]
    # a call next to the path cost no time, so its tokens and failures explain nothing
    on_path = sorted({stretch.call - 1 for stretch in path if stretch.call is not None})
    prompts = [breakdowns[place] for place in on_path if is_prompt_call(calls[place][0].request)]
    tokens: dict[Part, int | None] = {}
    for part, count in (item for prompt in prompts for item in prompt.tokens.items()):
        known = tokens.get(part, 0)
        # one unknown number makes the sum unknown
        tokens[part] = None if count is None or known is None else known + count
    return Breakdown(
        segments=tuple(merged(segments, path[-1].end)),
        tokens=tokens,
        failures=tuple(reason for prompt in prompts for reason in prompt.failures),
        gave_up=any(prompt.gave_up for prompt in prompts),
        answered=any(prompt.answered for prompt in prompts),
        calls=len(prompts),
        path=path,
        late=late,
        is_silent=all(prompt.is_silent for prompt in prompts if prompt.time_in(Part.THINKING)),
    )


def usual_gap(deltas: Sequence[Delta]) -> Nanoseconds | None:
    """Return the usual time between two pieces of content; None if there are too few to say."""
    # stalls are left out: a single long one would raise the mean so far that it hid itself
    short = [gap for _, gap in _gaps(deltas) if gap < _LEAST_STALL]
    return sum(short) // len(short) if len(short) >= _FEWEST_GAPS else None


def stalls(deltas: Sequence[Delta], attempt: Exchange, latest: Sequence[Delta] = ()) -> dict[int, Nanoseconds]:
    """Return after which pieces of content nothing came for far longer than usual, by their place, and for how long.

    `latest` are the same pieces when they came at the latest, where that is not known.
    """
    least, is_pace_known = _least_stall(deltas, attempt), usual_gap(deltas) is not None
    # thinking that is summed up comes in a few large pieces
    return {
        place: gap
        for place, gap in _gaps(deltas, latest)
        if gap >= least and (is_pace_known or deltas[place].kind == "text")
    }


def latest(taken: Sequence[Delta], exchange: Exchange) -> Sequence[Delta]:
    """Return when pieces that were `taken` came at the latest; empty where it is known when each came.

    In a run that calls the API, what a program takes late may have come at any time before. A recording of such a run
    does not know it either.
    """
    recorded = exchange.recorded
    return taken if recorded is None or any(chunk.late for chunk in recorded.chunks) else ()


def _gaps(deltas: Sequence[Delta], latest: Sequence[Delta] = ()) -> Iterator[tuple[int, Nanoseconds]]:
    """Yield the gaps within one kind of text, each with the place of the piece before it."""
    for place, (earlier, later) in enumerate(pairwise(deltas)):
        # the API holds back a tool's input until a value is complete: such a gap is no stall
        if earlier.kind == later.kind != "input_json":
            yield place, max(later.at - (latest[place] if latest else earlier).at, 0)


def _least_stall(deltas: Sequence[Delta], attempt: Exchange) -> Nanoseconds:
    """Return how long nothing must come in the answer of an attempt, for that to be a stall."""
    usual = usual_gap(deltas)
    if usual is not None:
        return max(_LEAST_STALL, _STALL_FACTOR * usual)
    # That of a fault is known: no pace has to tell it.
    fault = None if attempt.recorded is None else attempt.recorded.fault
    injected = 0 if fault is None else fault.pause
    return min(injected, _STALL_OF_ANY_PACE) if injected >= _LEAST_STALL else _STALL_OF_ANY_PACE


# ── one call ──


def _earlier_attempts(attempts: Attempts) -> Iterator[Segment]:
    """Yield the attempts that another one followed, and the pauses after them."""
    origin = attempts[0].sent
    for attempt, following in pairwise(attempts):
        start, next_sent = attempt.sent - origin, following.sent - origin
        if attempt.is_redirect:
            yield Segment(Part.CONNECTION, start, next_sent)
            continue
        # the end of a refused answer may be noted after the retry was sent, since its connection is closed later
        over = min(ended(attempt, following.sent) - origin, next_sent)
        yield Segment(Part.REFUSED, start, over)
        yield Segment(Part.BACK_OFF, over, next_sent)


def _without(late: Sequence[Span], segments: Iterable[Segment]) -> Iterator[Segment]:
    """Yield the segments with the time in which something was there and not yet taken as the application's."""
    spans = iter(sorted(late))
    start, end = next(spans)
    for segment in segments:
        reached = segment.start
        while reached < segment.end:
            if end <= reached:
                start, end = next(spans, (sys.maxsize, sys.maxsize))
                continue
            until = min(segment.end, start if reached < start else end)
            yield Segment(segment.part if reached < start else Part.APPLICATION, reached, until)
            reached = until


def _last_attempt(
    attempts: Attempts, timeline: Timeline, total: Nanoseconds, pieces: Sequence[Delta]
) -> Iterator[Segment]:
    """Yield the parts of the attempt that ended the call. `pieces` are its deltas at the instants they were due."""
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
        # a connection that was opened ahead for another request may be ready after the answer came over a free one
        first_sign = total if timeline.headers is None else timeline.headers
        opened = min(start + last.connect.at + last.connect.duration, first_sign)
        yield Segment(Part.CONNECTION, start, opened)
    # without a stream, waiting and generating cannot be told apart
    if not timeline.streamed:
        yield Segment(Part.WHOLE if timeline.deltas else Part.WAITING, opened, total)
        return
    begins = _begins(timeline, pieces, last)
    yield Segment(Part.WAITING, opened, begins[0][0] if begins else total)
    # what a piece of content begins lasts until the next piece
    for (at, part), (following_at, _) in pairwise([*begins, (total, Part.ANSWERING)]):
        yield Segment(part, at, following_at)


def _begins(timeline: Timeline, pieces: Sequence[Delta], last: Exchange) -> list[tuple[Nanoseconds, Part]]:
    """Return the instants when a part of a streamed answer began, in order, each with that part."""
    deltas = timeline.deltas
    # A program that took a piece late made no stall of the API's.
    stalled = set(stalls(pieces, last, latest(deltas, last)))
    # an error after a long silence: the answer stalled after its last piece
    silence = 0 if timeline.error is None or not deltas else (timeline.total or 0) - deltas[-1].at
    if deltas and silence >= _least_stall(pieces, last):
        stalled.add(len(deltas) - 1)
    begins = []
    for place, delta in enumerate(deltas):
        part = Part.THINKING if delta.kind == "thinking" else Part.ANSWERING
        begins.append((delta.at, Part.STALLED if place in stalled else part))
    for at in timeline.thinking:
        following = next((delta for delta in deltas if delta.at >= at), None)
        # thinking that is not shown has no text of its own, so only the start of its block tells when it began
        if following is None or following.kind != "thinking":
            begins.append((at, Part.THINKING))
    begins += [begin for start, end in tool_spans(timeline) for begin in ((start, Part.TOOLS), (end, Part.ANSWERING))]
    # by instant only: of two at one instant the later in this list wins, so that a tool covers the piece before it
    return sorted(begins, key=lambda begin: begin[0])


def tool_spans(timeline: Timeline) -> Iterator[Span]:
    """Yield when the API used a tool of its own, and when it held the input of a tool back for a second or more."""
    for block, following in zip_longest(timeline.blocks, timeline.blocks[1:]):
        if not block.type.endswith("tool_use"):
            continue
        pieces = block.pieces(timeline.deltas)
        if pieces and pieces[0].at - block.began >= _LEAST_HELD_BACK:
            yield block.began, pieces[0].at
        # A tool of the program's own, `tool_use`, runs after the answer.
        if block.type != "tool_use" and block.ended is not None and following is not None:
            yield block.ended, following.began


def _answer_tokens(timeline: Timeline, segments: Iterable[Segment]) -> int | None:
    """Return the number of tokens of the answer, without thinking; None if unknown."""
    usage = timeline.usage
    # before the last event of a stream the API has counted only the beginning
    if usage.output is None or not usage.final:
        return None
    # some providers count thinking among the output and do not say how much of it that was
    if usage.thinking is None:
        return None if any(segment.part is Part.THINKING for segment in segments) else usage.output
    return max(usage.output - usage.thinking, 0)


# ── a test ──


def _path_of(
    calls: Sequence[Attempts], breakdowns: Sequence[Breakdown], origin: Nanoseconds, now: Nanoseconds | None
) -> tuple[Stretch, ...]:
    """Return the critical path of a test, in which instants are counted from `origin`."""
    spans = []
    for attempts, breakdown in zip(calls, breakdowns, strict=True):
        start = attempts[0].sent
        complete = start + breakdown.total
        # the exchange may end later than the answer: the program reads on to the end of the body
        over = max(complete, *(ended(attempt, complete if now is None else now) for attempt in attempts))
        spans.append((start - origin, over - origin))
    # given-up calls are numbered among the prompt calls, so they get their numbers among all calls back
    numbers = [number for number, attempts in enumerate(calls, 1) if is_prompt_call(attempts[0].request)]
    lost = given_up([measure(calls[number - 1]) for number in numbers])
    return critical_path(spans, {number for place, number in enumerate(numbers, 1) if place in lost})


def _polls_on(path: Sequence[Stretch], calls: Sequence[Attempts]) -> list[bool]:
    """Return for each step of the critical path whether it is polling: a request of it, or the pause before one."""
    others = [attempts[0].request for attempts in calls if not is_prompt_call(attempts[0].request)]
    polls = polled(others)
    requests = [None if stretch.call is None else calls[stretch.call - 1][0].request for stretch in path]
    asked = [poll if request and (poll := poll_of(request)) in polls else None for request in requests]
    found = [poll is not None for poll in asked]
    earlier: set[Poll | None] = {None}
    for place in range(1, len(path) - 1):
        earlier.add(asked[place - 1])
        before, poll = requests[place - 1], asked[place + 1]
        if requests[place] is not None or poll is None or before is None:
            continue
        # The pause before asking again, about this or in turn about several, is part of asking. So is that between
        # what began it and the first question. Any other gap is the program's own work.
        begun = not is_prompt_call(before) and may_begin(before, poll)
        found[place] = begun or (found[place - 1] and poll in earlier)
    return found


def _clipped(breakdown: Breakdown, sent: Nanoseconds, stretch: Stretch) -> Iterator[Segment]:
    """Yield what a call spent the stretch on. After its answer was complete, the program was at work."""
    reached = stretch.start
    for segment in breakdown.segments:
        start, end = max(sent + segment.start, stretch.start), min(sent + segment.end, stretch.end)
        if start < end:
            yield Segment(segment.part, start, end)
            reached = end
    yield Segment(Part.APPLICATION, reached, stretch.end)
