"""Parts: what the time of a call or of a test is spent on, as a value that adds up.

Segments follow each other from 0 to the total, in whole nanoseconds, and everything else is derived
from them. What is shown and what is written is rounded so that it still adds up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

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
    """until the first token; where none came, until the end"""
    THINKING = "thinking"
    """from the first thought, shown or not, to the answer that follows"""
    ANSWERING = "answering"
    """the answer arrives"""
    STALLED = "stalled"
    """gaps between two pieces of content that are far above the usual"""
    WHOLE = "whole"
    """a whole answer that does not stream: waiting, thinking and answering cannot be told apart"""
    OTHER = "other"
    """requests to the API that make no message"""
    APPLICATION = "application"
    """the program's own, when it waited for no request"""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time spent on one thing. Instants are nanoseconds since the beginning of what is broken down."""

    part: Part
    start: Nanoseconds
    end: Nanoseconds

    @property
    def length(self) -> Nanoseconds:
        """How long it lasted."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Where time went. `segments` follow each other without gap or overlap, from 0 to `total`.

    `tokens` is how many tokens the answers in it have, thinking left out; None where that is not known. `failures`
    says of each attempt in it that brought no answer why; `gave_up`, that none followed the last of them; `answered`,
    that some content came. `path` is the critical path of a test, empty for a call; `calls` counts the prompt calls on
    it.
    """

    segments: tuple[Segment, ...]
    tokens: int | None = None
    failures: tuple[str, ...] = ()
    gave_up: bool = False
    answered: bool = True
    calls: int = 1
    path: tuple[Stretch, ...] = ()

    @property
    def total(self) -> Nanoseconds:
        """All of it."""
        return self.segments[-1].end if self.segments else 0

    @property
    def parts(self) -> dict[Part, Nanoseconds]:
        """The time of each part that took some, in the order of `Part`. Their sum is `total`."""
        return _sums(self.segments)

    def of(self, *parts: Part) -> Nanoseconds:
        """The time of these parts together."""
        return sum(each.length for each in self.segments if each.part in parts)

    def text(self) -> str:
        """One line: `of 9.41s: 6.10s generating 487 tokens, 1.92s in one retry after a 529`. It adds up as shown."""
        spans = self.parts
        retries = spans.pop(Part.BACK_OFF, 0) + spans.pop(Part.REFUSED, 0)
        named = [(span, self._words(part)) for part, span in spans.items()]
        if retries:
            named.append((retries, self._retries()))
        named.sort(key=lambda each: -each[0])
        unit, total = _unit(self.total), round(self.total / _unit(self.total))
        counts = _shares([span for span, _ in named], unit, total)
        shown = [f"{_show(count, unit)} {words}" for count, (_, words) in zip(counts, named, strict=True) if count]
        return f"of {_show(total, unit)}: {', '.join(shown)}" if shown else f"of {_show(total, unit)}"

    def as_json(self) -> dict[str, float]:
        """Seconds for each part, to the microsecond, adding up to the rounded total."""
        rounded = [Segment(each.part, _microseconds(each.start), _microseconds(each.end)) for each in self.segments]
        return {str(part): span / 1_000_000 for part, span in _sums(rounded).items()}

    @classmethod
    def from_json(cls, plain: Mapping[str, float], tokens: int | None, calls: int) -> Breakdown:
        """What `as_json` wrote: each part as one segment. What failed is not in it."""
        segments: list[Segment] = []
        for name, span in plain.items():
            start = segments[-1].end if segments else 0
            segments.append(Segment(Part(name), start, start + nanoseconds(span)))
        return cls(segments=tuple(segments), tokens=tokens, calls=calls)

    def _words(self, part: Part) -> str:
        tokens = None if self.tokens is None else f"{self.tokens} tokens"
        stalls = sum(each.part is Part.STALLED for each in self.segments)
        first = "to the first token" if self.calls == 1 else "to first tokens"
        return {
            Part.CONNECTION: "connecting",
            Part.WAITING: first if self.answered else "waiting for an answer",
            Part.THINKING: "thinking",
            Part.ANSWERING: f"generating {tokens or 'the answer'}",
            Part.STALLED: f"in {number_of(stalls, 'stall', one='one')}",
            Part.WHOLE: f"for {tokens or 'an answer'} not streamed",
            Part.OTHER: "in other requests",
            Part.APPLICATION: "in the application",
        }[part]

    def _retries(self) -> str:
        if not self.failures:
            return "in attempts without an answer, and pauses after them"
        if self.gave_up:
            return f"in {number_of(len(self.failures), 'failed attempt', one='one')} ({_listed(self.failures)})"
        return f"in {number_of(len(self.failures), 'retry', one='one')} after {_listed(self.failures)}"


def merged(segments: Iterable[Segment], total: Nanoseconds) -> Iterator[Segment]:
    """The segments from 0 to `total`, each beginning where the last one ended, neighbours of one part as one.

    Instants that a recording has out of order, as no answer has them, move to where they do not overlap. Two stalls
    stay two.
    """
    last = Segment(Part.WAITING, 0, 0)
    for each in segments:
        end = min(max(each.end, last.end), total)
        if end == last.end:
            continue
        if each.part is last.part and each.part is not Part.STALLED:
            last = Segment(last.part, last.start, end)
            continue
        if last.length:
            yield last
        last = Segment(each.part, last.end, end)
    if last.length:
        yield last


def _sums(segments: Iterable[Segment]) -> dict[Part, int]:
    spans = dict.fromkeys(Part, 0)
    for each in segments:
        spans[each.part] += each.length
    return {part: span for part, span in spans.items() if span}


def _microseconds(instant: Nanoseconds) -> int:
    return (instant + MICROSECOND // 2) // MICROSECOND


def _unit(total: Nanoseconds) -> Nanoseconds:
    if total >= SECOND:
        return 10 * MILLISECOND
    return MILLISECOND if total >= 10 * MILLISECOND else MICROSECOND


def _shares(spans: Sequence[Nanoseconds], unit: Nanoseconds, total: int) -> list[int]:
    """The spans in whole units that add up to `total`: what rounding takes from one it gives to another."""
    counts = [span // unit for span in spans]
    by_remainder = sorted(range(len(spans)), key=lambda each: (-(spans[each] % unit), each))
    for each in by_remainder[: max(total - sum(counts), 0)]:
        counts[each] += 1
    return counts


def _show(count: int, unit: Nanoseconds) -> str:
    if unit == 10 * MILLISECOND:
        return f"{count / 100:.2f}s"
    return f"{count}ms" if unit == MILLISECOND else f"{count / 1000:.3f}ms"


def _listed(failures: Sequence[str]) -> str:
    """`a 529`, `2 x 529 and a ConnectError`."""
    counted = [
        f"{'an' if what[0] in 'AEIOUaeiou' else 'a'} {what}" if count == 1 else f"{count} x {what}"
        for what, count in Counter(failures).items()
    ]
    return " and ".join(counted)
