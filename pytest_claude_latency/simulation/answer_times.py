"""The times of one answer: the instants of an exchange in the order of the wire, and where its parts begin and end.

The parts are places in that order, not instants, since several chunks may arrive at one instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.answers.content import Answer
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange

Part: TypeAlias = Literal["ttft", "thinking", "output", "end", "total"]
"""A part of an answer, from one moment to another:

- `ttft`: from sending to the first content, connection included; to the end of an answer that brings none
- `thinking`: from where the model begins to think, shown or not, to the first content that is not thinking
- `output`: from the first content to the last
- `end`: from the last content to the end
- `total`: all of it
"""


class Stretch(NamedTuple):
    """Where a part lies: the places of the instants at which it begins and ends."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Change:
    """How long a part takes instead: `factor` times as long, and `more` nanoseconds longer; never less than no time."""

    factor: Fraction = Fraction(1)
    more: Nanoseconds = 0

    def __post_init__(self) -> None:
        """Refuse a factor that no time can have."""
        if self.factor < 0:
            raise ValueError(f"a time cannot take {self.factor} times as long: a factor is at least 0")

    @property
    def is_none(self) -> bool:
        """Whether all stays as it is."""
        return self == Change()

    def applied(self, span: Nanoseconds) -> Nanoseconds:
        """Return how long a part takes that took `span`."""
        # More may be taken off than the part has: no answer comes before it is asked for.
        return max(0, rounded(span * self.factor) + self.more)


@final
@dataclass(frozen=True)
class AnswerTimes:
    """The instants of one exchange, and its parts."""

    exchange: Exchange

    @cached_property
    def instants(self) -> tuple[Nanoseconds, ...]:
        """Its instants in the order of the wire, since it was sent: of sending (0), of the connection, of the headers,
        of each chunk, and of the end.
        """
        exchange = self.exchange
        instants = [0]
        if exchange.connect is not None:
            instants += [exchange.connect.at, exchange.connect.at + exchange.connect.duration]
        if exchange.response is not None:
            instants.append(exchange.response.at)
        instants += [chunk.at for chunk in exchange.chunks]
        if exchange.end is not None:
            instants.append(exchange.end.at)
        return tuple(instants)

    @cached_property
    def answer(self) -> Answer:
        """The answer, with the numbers of its chunks in the place of instants."""
        chunks = tuple(Chunk(number, chunk.data) for number, chunk in enumerate(self.exchange.chunks))
        end = self.exchange.end
        return read(replace(self.exchange, chunks=chunks, end=end and replace(end, at=len(chunks))))

    def part(self, name: Part) -> Stretch | None:
        """Return where a part lies; None if this answer has none."""
        last, answer = len(self.instants) - 1, self.answer
        if name == "total":
            return Stretch(0, last)
        if name == "ttft":
            # Without content a reader waits for the end of the message, and not for the bytes behind it.
            ended = answer.complete if answer.failed is None else answer.failed
            otherwise = last if ended is None else self._first_chunk + ended
            return Stretch(0, self.contents[0] if self.contents else otherwise)
        if not self.contents or (name == "thinking" and not answer.thinking):
            return None
        first, latest = self.contents[0], self.contents[-1]
        if name != "thinking":
            return Stretch(first, latest) if name == "output" else Stretch(latest, last)
        began = self._first_chunk + answer.thinking[0]
        answered = (self._first_chunk + delta.at for delta in answer.deltas if delta.kind != "thinking")
        # Where nothing but thinking comes, the part ends with the last piece of it.
        return Stretch(began, next((place for place in answered if place >= began), max(began, latest)))

    @cached_property
    def contents(self) -> tuple[int, ...]:
        """The place of each piece of content, in order. Pieces that came in one chunk have one place."""
        return tuple(self._first_chunk + delta.at for delta in self.answer.deltas)

    def moved(self, instants: Sequence[Nanoseconds]) -> Exchange:
        """Return the exchange with these instants, as many as it has and in the same order."""
        exchange, rest = self.exchange, iter(instants)
        next(rest)  # of sending
        connect, response, end = exchange.connect, exchange.response, exchange.end
        if connect is not None:
            at = next(rest)
            # A connection has two instants: the second one, too, counts from when the request was sent.
            connect = replace(connect, at=at, duration=next(rest) - at)
        if response is not None:
            response = replace(response, at=next(rest))
        chunks = tuple(Chunk(next(rest), chunk.data) for chunk in exchange.chunks)
        if end is not None:
            end = replace(end, at=next(rest))
        return replace(exchange, connect=connect, response=response, chunks=chunks, end=end)

    def stretched(self, name: Part, change: Change) -> Exchange:
        """Return the exchange with a part that takes another time. What follows it follows as closely as before.

        All that lies in the part is spread as it was. A part that took no time gets its new time at its end.
        """
        part = self.part(name)
        if part is None or part.start == part.stop or change.is_none:
            return self.exchange
        instants = list(self.instants)
        start, stop = instants[part.start], instants[part.stop]
        old, new = stop - start, change.applied(stop - start)
        for place in range(part.start + 1, part.stop):
            instants[place] = start + (rounded(Fraction((instants[place] - start) * new, old)) if old else 0)
        for place in range(part.stop, len(instants)):
            instants[place] += new - old
        return self.moved(instants)

    @cached_property
    def _first_chunk(self) -> int:
        """The place of the first chunk among the instants."""
        return 1 + 2 * (self.exchange.connect is not None) + (self.exchange.response is not None)


def rounded(span: Fraction) -> Nanoseconds:
    """Return a span in whole nanoseconds. Half a nanosecond is rounded up, so that no two instants change places."""
    return (2 * span.numerator + span.denominator) // (2 * span.denominator)


def cut_behind(exchange: Exchange, pieces: int) -> tuple[tuple[Chunk, ...], tuple[Chunk, ...]] | None:
    """Cut a streamed answer behind so many pieces of content: return the chunks before the cut, and those behind it.

    A chunk that holds more than the last of these pieces is cut in two, behind the event that brings the piece. None if
    the answer does not stream, or has fewer pieces.

    Raises:
        ValueError: `pieces` is not at least 1.
    """
    if pieces < 1:
        raise ValueError(f"an answer can be cut behind a piece of content, from 1 on, not behind {pieces}")
    times = AnswerTimes(exchange)
    if not times.answer.streamed or len(times.contents) < pieces:
        return None
    number = times.answer.deltas[pieces - 1].at
    before, cut, behind = exchange.chunks[:number], exchange.chunks[number], exchange.chunks[number + 1 :]

    def is_enough(size: int) -> bool:
        part = replace(exchange, chunks=(*before, Chunk(cut.at, cut.data[:size])), end=End(cut.at, closed="client"))
        return len(read(part).deltas) >= pieces

    # The fewest bytes of the chunk that bring the piece: its event ends there, whatever the form of the stream.
    too_few, enough = 0, len(cut.data)
    while enough - too_few > 1:
        size = (too_few + enough) // 2
        too_few, enough = (too_few, size) if is_enough(size) else (size, enough)
    first, second = cut.data[:enough], cut.data[enough:]
    return (*before, Chunk(cut.at, first)), (Chunk(cut.at, second), *behind) if second else behind
