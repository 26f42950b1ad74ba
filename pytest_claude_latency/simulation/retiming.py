"""Retiming: recordings in which answers take another time, and are otherwise what they were.

Each function takes a recording and returns one. What was asked, what was answered, the order of all that passed and
how each answer ended stay as they were. Times are whole nanoseconds; a part that is stretched has exactly the length
that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, Exchange
from pytest_claude_latency.simulation.answer_times import AnswerTimes, Change, Part, cut_behind
from pytest_claude_latency.simulation.chosen_calls import EVERY, ChosenCalls


def stretched(recording: Recording, part: Part, change: Change, chosen: ChosenCalls = EVERY) -> Recording:
    """Return the recording with a part of each chosen call's answer that takes another time.

    A call that was retried waited in each attempt for its first token, so `ttft` and `total` of all its attempts get
    the factor. What is added is added once, to the attempt that was answered.
    """
    changed: dict[int, Exchange] = {}
    for *failed, answered in chosen.of(recording):
        if part in ("ttft", "total"):
            for place in failed:
                changed[place] = AnswerTimes(recording.exchanges[place]).stretched(part, Change(change.factor))
        changed[answered] = AnswerTimes(recording.exchanges[answered]).stretched(part, change)
    return with_exchanges(recording, changed)


def stalled(recording: Recording, after: int, duration: Nanoseconds, chosen: ChosenCalls = EVERY) -> Recording:
    """Return the recording with nothing for `duration` behind so many pieces of content of each chosen call.

    A call whose answer does not stream, or has fewer pieces, stays as it is.

    Raises:
        ValueError: `after` is not at least 1, or `duration` is negative.
    """
    if duration < 0:
        raise ValueError(f"a stall of {duration} ns: a duration is at least 0")
    changed: dict[int, Exchange] = {}
    for *_, answered in chosen.of(recording):
        exchange = recording.exchanges[answered]
        cut = cut_behind(exchange, after)
        if cut is not None and duration:
            later = tuple(Chunk(chunk.at + duration, chunk.data) for chunk in cut[1])
            end = exchange.end and replace(exchange.end, at=exchange.end.at + duration)
            changed[answered] = replace(exchange, chunks=(*cut[0], *later), end=end)
    return with_exchanges(recording, changed)


def with_exchanges(recording: Recording, changed: Mapping[int, Exchange]) -> Recording:
    """Return the recording with these exchanges, by their places, in the place of its own, and all sent when it fits.

    A request is sent as long after the last answer that had ended before it as it was: what waited for an answer still
    does. Requests keep their order.
    """
    exchanges = [changed.get(place, exchange) for place, exchange in enumerate(recording.exchanges)]
    if all(_length(new) == _length(old) for new, old in zip(exchanges, recording.exchanges, strict=True)):
        # Each answer ends when it did, so every request is sent when it was.
        return replace(recording, exchanges=tuple(exchanges)) if changed else recording
    ends = [exchange.sent + _length(exchange) for exchange in recording.exchanges]
    instants: list[Nanoseconds] = []
    for place, exchange in enumerate(recording.exchanges):
        ended = [earlier for earlier in range(place) if ends[earlier] <= exchange.sent]
        sent = exchange.sent
        if ended:
            pause = exchange.sent - max(ends[earlier] for earlier in ended)
            sent = pause + max(instants[earlier] + _length(exchanges[earlier]) for earlier in ended)
        # A request that waited for nothing still comes behind the one before it.
        instants.append(max(sent, *instants[-1:]) if instants else sent)
    exchanges = [replace(exchange, sent=instant) for exchange, instant in zip(exchanges, instants, strict=True)]
    return replace(recording, exchanges=tuple(exchanges))


def _length(exchange: Exchange) -> Nanoseconds:
    """Return how long an exchange takes, from sending to its end."""
    return AnswerTimes(exchange).instants[-1]
