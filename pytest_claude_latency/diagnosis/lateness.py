"""Lateness: when each part of an answer was due, and when the program took it.

What lies between is the program's time, and not the API's. A replay knows from the recording when a part was due. In
a run that calls the API only the program itself tells, by what it held and when it did not read: what it took right
after that may have been there before. A recording keeps that (`late`), since a replay computes in no time and has
no trace of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, TypeAlias

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, Exchange, Response
from pytest_claude_latency.virtual_time import EVERY_THREAD, Hold

Span: TypeAlias = tuple[Nanoseconds, Nanoseconds]

_AT_ONCE: Final = 20 * MILLISECOND
"""How soon after a hold a part was taken that may have come during it: in the first turn of the loop."""
_READ: Final = 10 * MILLISECOND
"""The same for a program that reads again: what is there already is read at once."""
_LEAST_GAP: Final = 200 * MILLISECOND
_SAME: Final = 0.8
"""How much of a recorded gap a hold must last to have made it, while recording as now."""


def as_due(exchange: Exchange, holds: Sequence[Hold] = ()) -> Exchange:
    """Return the same exchange with each part at the instant when it was due, never later than it was taken."""
    # a hold of another thread kept nobody in this one from reading
    own = (exchange.thread, EVERY_THREAD)
    held = [(hold.start - exchange.sent, hold.end - exchange.sent) for hold in holds if hold.thread in own]
    if exchange.recorded is not None:
        return _as_the_program_let_it_be(_as_recorded(exchange, exchange.recorded), held)

    def due(part: Response | Chunk) -> Nanoseconds:
        starts = [start for start, end in held if start < part.at <= end + _AT_ONCE]
        starts += [start for start, end in exchange.pauses if start < part.at <= end + _READ]
        # what is taken right after a hold may have come at its very start, and not before the request was sent
        return max(min([_due(part), *starts]), 0)

    return replace(
        exchange,
        response=exchange.response and replace(exchange.response, at=due(exchange.response)),
        chunks=tuple(replace(chunk, at=due(chunk)) for chunk in exchange.chunks),
    )


def with_lateness(exchange: Exchange, holds: Sequence[Hold]) -> Exchange:
    """Return what is recorded of an exchange: each part says how late the program may have taken it, if it did."""
    due = as_due(exchange, holds)

    def late(taken: Nanoseconds, due: Nanoseconds) -> Nanoseconds:
        return taken - due if taken - due >= _LEAST_GAP else 0  # less is what each machine does now and then

    response = exchange.response
    if response is not None and due.response is not None:
        response = replace(response, late=late(response.at, due.response.at))
    pairs = zip(exchange.chunks, due.chunks, strict=True)
    chunks = tuple(replace(chunk, late=late(chunk.at, other.at)) for chunk, other in pairs)
    return replace(exchange, response=response, chunks=chunks)


def _as_the_program_let_it_be(due: Exchange, held: Sequence[Span]) -> Exchange:
    """Return a replayed exchange without the gaps that the program itself made while it was recorded.

    It holds its thread again, for the same time and at the same place. So a part that comes right after such a hold was
    taken late while recording too, and nobody knows when it was there.
    """
    chunks, last = [], due.response.at if due.response is not None else 0
    for chunk in due.chunks:
        gap, at = chunk.at - last, chunk.at
        if gap >= _LEAST_GAP:
            starts = [
                max(start, last)
                for start, end in held
                # A hold in which the request was sent is that of a client which waits for the answer itself.
                if start > 0 and end - _READ <= at <= end + _AT_ONCE and end - max(start, last) >= _SAME * gap
            ]
            at = min([at, *starts])
        chunks.append(replace(chunk, at=at))
        last = chunk.at
    return replace(due, chunks=tuple(chunks))


def late_spans(taken: Exchange, due: Exchange) -> Iterator[Span]:
    """Yield when something of an exchange was there and not yet taken, since its request was sent.

    `due` is what `as_due` returned for `taken`.
    """
    reached: Nanoseconds = 0
    for late, early in zip(_instants(taken), _instants(due), strict=True):
        # parts are taken in order: behind a part that is late, the next ones cannot be taken either, and count once
        start = max(reached, early)
        if start < late:
            yield start, late
        reached = max(reached, late)


def _as_recorded(exchange: Exchange, recorded: Exchange) -> Exchange:
    response, end = exchange.response, exchange.end
    # A program that waited longer for a free connection gets everything as much later: that is its connection's time.
    opening = [0 if same.connect is None else same.connect.at for same in (exchange, recorded)]
    later = max(opening[0] - opening[1], 0)
    if response is not None and recorded.response is not None:
        response = replace(response, at=min(response.at, _due(recorded.response) + later))
    # By bytes, since one read of a program may take what came in several chunks.
    ends = list(accumulate(len(chunk.data) for chunk in recorded.chunks))
    chunks, place = [], 0
    for chunk, reached in zip(exchange.chunks, accumulate(len(chunk.data) for chunk in exchange.chunks), strict=True):
        while place < len(ends) - 1 and ends[place] < reached:
            place += 1
        due = _due(recorded.chunks[place]) + later if ends else chunk.at
        chunks.append(replace(chunk, at=min(chunk.at, due)))
    # Only an end that the recorded program met too says when it was due.
    if end is not None and recorded.end is not None and (end.error, end.closed) == (None, None):
        end = replace(end, at=min(end.at, recorded.end.at + later))
    return replace(exchange, response=response, chunks=tuple(chunks), end=end)


def _due(part: Response | Chunk) -> Nanoseconds:
    """Return since when a part may have been there: never before its request was sent, whatever a fault did to it."""
    return max(part.at - part.late, 0)


def _instants(exchange: Exchange) -> Iterator[Nanoseconds]:
    if exchange.response is not None:
        yield exchange.response.at
    for chunk in exchange.chunks:
        yield chunk.at
    if exchange.end is not None:
        yield exchange.end.at
