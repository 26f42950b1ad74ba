"""A breakdown: what the time of a call or of a test was spent on, as a value that adds up.

Segments follow each other from 0 to the total, in whole nanoseconds. Everything else is derived from them. What is
shown and what is written is rounded so that it still adds up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pytest_claude_latency.diagnosis.critical_path import Stretch
from pytest_claude_latency.duration import MICROSECOND, MILLISECOND, SECOND, Nanoseconds, nanoseconds
from pytest_claude_latency.plurals import number_of


class Part(StrEnum):
    """What time was spent on."""

    CONNECTION = "connection"
    """opening a connection, and following redirects"""
    REFUSED = "refused"
    """attempts that brought no answer"""
    BACK_OFF = "back_off"
    """pauses of the SDK before it tried again"""
    WAITING = "waiting"
    """until the first token; if none came, until the end"""
    THINKING = "thinking"
    """from the first thought, shown or not, to the answer that follows"""
    ANSWERING = "answering"
    """the answer arrives"""
    TOOLS = "tools"
    """the API used a tool of its own, or held a tool's input back until it was complete"""
    STALLED = "stalled"
    """gaps between two pieces of content that are far above the usual"""
    WHOLE = "whole"
    """a whole answer that does not stream: waiting, thinking and answering cannot be told apart"""
    POLLING = "polling"
    """asking again and again whether something is done, with the pauses between"""
    OTHER = "other"
    """requests to the API that make no message"""
    APPLICATION = "application"
    """the program itself: it waited for no request, or took late what was there"""


ANSWERS: Final = (Part.ANSWERING, Part.WHOLE)
"""The parts in which the tokens of answers are generated."""


def told_by_metrics(call: Mapping[str, Any]) -> list[tuple[Part, float, float]]:
    """Return the parts of a call that its metrics tell apart, each from when to when, in seconds since it was sent.

    `call` is one in a report that was not broken down, as set-up calls are not.
    """
    total = call["total"] or 0.0
    if not call["streamed"]:
        return [(Part.WHOLE, 0.0, total)]
    parts: list[tuple[Part, float, float]] = []
    since = 0.0
    for part, until in ((Part.WAITING, call["ttft"]), (Part.THINKING, call["ttfa"]), (Part.ANSWERING, total)):
        if until is not None and until > since:
            # a call that got no token waited all the time
            parts.append((part if since or part is not Part.ANSWERING else Part.WAITING, since, until))
            since = until
    return parts


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time spent on one thing. Instants are nanoseconds since the beginning of the call or test."""

    part: Part
    start: Nanoseconds
    end: Nanoseconds

    @property
    def length(self) -> Nanoseconds:
        """Its duration in nanoseconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Where time went. `segments` follow each other without gap or overlap, from 0 to `total`.

    `tokens` is, for each of `ANSWERS` that it has, how many tokens were generated in it, without thinking; None if
    unknown. `failures` gives the reason
    of each attempt in it that brought no answer; `gave_up` says that no attempt followed the last of them, `answered`
    that some content came. `path` is the critical path of a test, empty for a call; `calls` counts the prompt calls on
    it. `late` is the time in which something was there and not yet taken, which is the application's.
    `is_silent` says that no thinking in it was shown.
    """

    segments: tuple[Segment, ...]
    tokens: Mapping[Part, int | None] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    gave_up: bool = False
    answered: bool = True
    calls: int = 1
    path: tuple[Stretch, ...] = ()
    late: Nanoseconds = 0
    is_silent: bool = False

    @property
    def total(self) -> Nanoseconds:
        """The whole time."""
        return self.segments[-1].end if self.segments else 0

    @property
    def parts(self) -> dict[Part, Nanoseconds]:
        """The time of each part that took some, in the order of `Part`. Their sum is `total`."""
        return _sums(self.segments)

    def time_in(self, *parts: Part) -> Nanoseconds:
        """Return the time of these parts together."""
        return sum(segment.length for segment in self.segments if segment.part in parts)

    def text(self) -> str:
        """Return one line that adds up: `of 9.41s: 6.10s generating 487 tokens, 1.92s in one retry after a 529`."""
        spans = self.parts
        # for a reader the refused attempt and the pause after it are one thing
        retries = spans.pop(Part.BACK_OFF, 0) + spans.pop(Part.REFUSED, 0)
        named = [(span, self._words(part)) for part, span in spans.items()]
        if retries:
            named.append((retries, self._words(Part.REFUSED)))
        named.sort(key=lambda item: -item[0])
        # two or three digits: more would hide which part is large
        unit = MICROSECOND if self.total < 10 * MILLISECOND else MILLISECOND
        if self.total >= SECOND:
            unit = 10 * MILLISECOND
        total = round(self.total / unit)
        # rounded one by one the parts might not add up: the largest remainders are rounded up, as seats are allotted
        counts = [span // unit for span, _ in named]
        by_remainder = sorted(range(len(named)), key=lambda place: (-(named[place][0] % unit), place))
        for place in by_remainder[: max(total - sum(counts), 0)]:
            counts[place] += 1
        texts = [f"{_show(count, unit)} {words}" for count, (_, words) in zip(counts, named, strict=True) if count]
        return f"of {_show(total, unit)}: {', '.join(texts)}" if texts else f"of {_show(total, unit)}"

    def as_json(self) -> dict[str, float]:
        """Return seconds for each part, to the microsecond, which add up to the rounded total."""
        # instants are rounded, not lengths: so the lengths still add up
        rounded = [
            Segment(segment.part, _microseconds(segment.start), _microseconds(segment.end)) for segment in self.segments
        ]
        return {str(part): span / 1_000_000 for part, span in _sums(rounded).items()}

    def segments_as_json(self) -> list[list[str | float]]:
        """Return the part, start and end of each segment, in seconds to the microsecond."""
        return [
            [str(segment.part), _microseconds(segment.start) / 1_000_000, _microseconds(segment.end) / 1_000_000]
            for segment in self.segments
        ]

    @classmethod
    def from_json(cls, values: Mapping[Any, float], tokens: Mapping[Part, int | None], calls: int) -> Breakdown:
        """Return the breakdown that `as_json` wrote, each part as one segment. It does not hold what failed."""
        segments: list[Segment] = []
        for name, span in values.items():
            start = segments[-1].end if segments else 0
            segments.append(Segment(Part(name), start, start + nanoseconds(span)))
        return cls(segments=tuple(segments), tokens=tokens, calls=calls)

    def _words(self, part: Part) -> str:
        count = self.tokens.get(part)
        tokens = None if count is None else number_of(count, "token")
        stalls = sum(segment.part is Part.STALLED for segment in self.segments)
        first = "to the first token" if self.calls == 1 else "to first tokens"
        # a breakdown that was read from a report does not say what failed
        retries = "in attempts without an answer, and pauses after them"
        if self.failures:
            reasons = " and ".join(
                f"{'an' if reason[0] in 'AEIOUaeiou' else 'a'} {reason}" if count == 1 else f"{count} x {reason}"
                for reason, count in Counter(self.failures).items()
            )
            number = len(self.failures)
            retries = f"in {number_of(number, 'retry', one='one')} after {reasons}"
            if self.gave_up:
                retries = f"in {number_of(number, 'failed attempt', one='one')} ({reasons})"
        return {
            Part.REFUSED: retries,
            Part.CONNECTION: "connecting",
            Part.WAITING: first if self.answered else "waiting for an answer",
            Part.THINKING: "thinking, not shown" if self.is_silent else "thinking",
            Part.ANSWERING: f"generating {tokens or 'the answer'}",
            Part.TOOLS: "in tools",
            Part.STALLED: f"in {number_of(stalls, 'stall', one='one')}",
            Part.WHOLE: f"for {tokens or 'an answer'} not streamed",
            Part.POLLING: "polling",
            Part.OTHER: "in other requests",
            Part.APPLICATION: "in the application",
        }[part]


def merged(segments: Iterable[Segment], total: Nanoseconds) -> Iterator[Segment]:
    """Yield the segments from 0 to `total` without gaps; neighbours of one part become one segment.

    Each begins where the one before it ended. So instants that are out of order, as no answer has them but a file may,
    move to where they do not overlap. Two stalls stay two, since they are counted.
    """
    last = Segment(Part.WAITING, 0, 0)
    for segment in segments:
        end = min(max(segment.end, last.end), total)
        if end == last.end:
            continue
        if segment.part is last.part and segment.part is not Part.STALLED:
            last = Segment(last.part, last.start, end)
            continue
        if last.length:
            yield last
        last = Segment(segment.part, last.end, end)
    if last.length:
        yield last


def _sums(segments: Iterable[Segment]) -> dict[Part, int]:
    spans = dict.fromkeys(Part, 0)
    for segment in segments:
        spans[segment.part] += segment.length
    return {part: span for part, span in spans.items() if span}


def _microseconds(instant: Nanoseconds) -> int:
    return (instant + MICROSECOND // 2) // MICROSECOND


def _show(count: int, unit: Nanoseconds) -> str:
    if unit == 10 * MILLISECOND:
        return f"{count / 100:.2f}s"
    return f"{count}ms" if unit == MILLISECOND else f"{count / 1000:.3f}ms"
