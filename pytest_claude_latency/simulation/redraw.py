"""Redrawing: a recording whose calls take the times of other calls like them.

Each call gets its waiting, its pace and its stalls from a donor: a recorded call like it, or its model's profile. What
was asked and answered, the connection, and attempts that were refused stay as they were recorded. Calls are drawn
independently of each other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from random import Random
from statistics import median
from typing import Final, Literal, NamedTuple, TypeAlias, final

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.simulation.answer_times import AnswerTimes
from pytest_claude_latency.simulation.chosen_calls import prompt_calls
from pytest_claude_latency.simulation.profiles import Profile, Profiles
from pytest_claude_latency.simulation.retiming import with_exchanges

FEWEST: Final = 5
"""Donors from which on the recorded ones are enough, and the profile of a model is not asked."""
_STALL: Final[Nanoseconds] = 250 * MILLISECOND
"""A gap that is shorter is no stall, however fast the rest came."""
_STALL_FACTOR: Final = 5
_SHORT_PROMPT: Final = 1000
"""Tokens up to which all prompts are taken as equally long."""
Source: TypeAlias = Literal["its own samples", "recordings of the folder", "profile"]


class Kind(NamedTuple):
    """What makes calls alike: calls of one kind lend each other their times."""

    model: str | None
    streamed: bool
    thinks: bool
    cached: bool
    prompt: int
    """The size of the prompt, by powers of two."""
    output: int
    """The size of an answer that does not stream, by powers of two: its time is that of all its tokens."""


class Stall(NamedTuple):
    """A pause in a stream: behind which share of the content, and how much longer than a usual gap."""

    share: float
    excess: Nanoseconds


@final
@dataclass(frozen=True)
class Rhythm:
    """The times of one answer, ready to be lent: without those of its connection."""

    waiting: Nanoseconds
    headers: float
    """At which share of the waiting the headers come."""
    span: Nanoseconds
    """From the first content to the last, without stalls."""
    units: int
    """Steps in that span: tokens where they are known, else pieces."""
    curve: tuple[float, ...]
    """For each piece of content, at which share of the span it comes."""
    stalls: tuple[Stall, ...]


@final
@dataclass(frozen=True)
class TimedCall:
    """A prompt call in a recording, by its answering attempt."""

    number: int
    exchange: Exchange

    @cached_property
    def times(self) -> AnswerTimes:
        """The instants of the exchange."""
        return AnswerTimes(self.exchange)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """The place of each piece of content among the instants, those that came in one chunk once."""
        return tuple(dict.fromkeys(self.times.contents))

    @cached_property
    def connected(self) -> Nanoseconds:
        """When its connection was there."""
        connect = self.exchange.connect
        return 0 if connect is None else connect.at + connect.duration

    @cached_property
    def can_lend(self) -> bool:
        """Whether it is a complete answer with content."""
        end, answer = self.exchange.end, self.times.answer
        is_whole = end is not None and end.error is None and end.closed is None and answer.complete is not None
        return is_whole and answer.failed is None and bool(self.places)

    @cached_property
    def kind(self) -> Kind:
        """What makes it like other calls."""
        # Powers of two: exact sizes would leave each call the only one of its kind.
        usage, answer = self.times.answer.usage, self.times.answer
        prompt = max((usage.input or 0) + (usage.cache_write or 0) - 1, 0) // _SHORT_PROMPT
        output = 0 if answer.streamed else (usage.output or 0).bit_length()
        model = requested_model(self.exchange.request)
        return Kind(model, answer.streamed, bool(answer.thinking), bool(usage.cache_read), prompt.bit_length(), output)

    @cached_property
    def units(self) -> int:
        """The steps from its first content to its last: tokens where they are known, else pieces."""
        tokens = self.times.answer.usage.output
        return max((tokens if tokens is not None else len(self.places)) - 1, 1)

    @cached_property
    def rhythm(self) -> Rhythm:
        """Its times."""
        instants = self.times.instants
        contents = [instants[place] for place in self.places]
        gaps = [later - earlier for earlier, later in pairwise(contents)]
        usual = round(median(gaps)) if gaps else 0
        stalls, curve, passed = [], [0], 0
        for number, gap in enumerate(gaps, 1):
            is_stall = gap > max(_STALL_FACTOR * usual, _STALL)
            if is_stall:
                stalls.append(Stall(number / len(gaps), gap - usual))
            # A stall counts as a usual gap here: what it has more is lent by itself, and not stretched with the span.
            passed += usual if is_stall else gap
            curve.append(passed)
        waiting = contents[0] - self.connected
        response = self.exchange.response.at - self.connected if self.exchange.response else waiting
        shares = tuple(instant / passed if passed else 0.0 for instant in curve)
        return Rhythm(waiting, response / waiting if waiting > 0 else 1.0, passed, self.units, shares, tuple(stalls))

    def with_rhythm(self, rhythm: Rhythm) -> Exchange:
        """Return the exchange at another rhythm: as fast per token, with its stalls at the same share of the answer."""
        old = self.times.instants
        if not self.places:
            return self.exchange
        last = max(len(self.places) - 1, 1)
        span = round(rhythm.span * self.units / rhythm.units)
        targets = {}
        for number, place in enumerate(self.places):
            share = number / last
            stalled = sum(stall.excess for stall in rhythm.stalls if stall.share <= share)
            targets[place] = self.connected + rhythm.waiting + round(span * _at(rhythm.curve, share)) + stalled
        first = self.places[0]
        new = list(old)
        waited = old[first] - self.connected
        for place in range(len(old)):
            if place >= first:
                known = self.places[bisect_right(self.places, place) - 1]
                behind = place == known
                # What stands between two pieces of content follows the one before it as closely as it did.
                new[place] = targets[known] if behind else targets[known] + old[place] - old[known]
            elif old[place] > self.connected:
                # Headers come at the donor's share of the waiting; what follows them keeps its own.
                share = (old[place] - self.connected) / waited if waited > 0 else 1.0
                is_head = self.exchange.response is not None and old[place] == self.exchange.response.at
                new[place] = self.connected + round(rhythm.waiting * (rhythm.headers if is_head else share))
        # Instants never run backwards: what would pass the next piece of content comes with it.
        contents, next_content = set(self.places), max(new)
        for place in reversed(range(len(new))):
            next_content = new[place] if place in contents else next_content
            new[place] = min(new[place], next_content)
        return self.times.moved(list(accumulate(new, max)))


def _at(curve: Sequence[float], share: float) -> float:
    """Return the value of a curve at a share of its length, between two of its points in proportion."""
    position = share * (len(curve) - 1)
    place = min(int(position), len(curve) - 2)
    if place < 0:
        return 0.0
    return curve[place] + (curve[place + 1] - curve[place]) * (position - place)


def timed_calls(recording: Recording) -> list[tuple[int, TimedCall]]:
    """Return the prompt calls of a recording, each with the place of its answering attempt."""
    calls = enumerate(prompt_calls(recording), 1)
    return [(places[-1], TimedCall(number, recording.exchanges[places[-1]])) for number, places in calls]


@final
@dataclass(frozen=True)
class Donors:
    """What lends its times to a call."""

    source: Source
    rhythms: tuple[Rhythm, ...] = ()
    profile: Profile | None = None

    @property
    def count(self) -> int | None:
        """How many recorded calls there are; None where a profile stands for them."""
        return None if self.profile is not None else len(self.rhythms)

    def drawn(self, call: TimedCall, random: Random) -> Exchange:
        """Return the exchange of a call with the times of one of these."""
        if self.profile is None:
            return call.with_rhythm(random.choice(self.rhythms))
        usage, speed = call.times.answer.usage, self.profile.tokens_per_second
        uncached, cached = (usage.input or 0) + (usage.cache_write or 0), usage.cache_read or 0
        # Both are drawn also where only one is used: what is drawn next must not depend on whether a call streams.
        luck = random.lognormvariate(0, self.profile.ttft.sigma)
        pace = random.triangular(speed.low, speed.high, speed.median)
        if call.times.answer.streamed:
            waiting, units = self.profile.usual_ttft(uncached, cached) * luck, call.units
            span = round(units * SECOND / pace)
        else:
            waiting, units, span = self.profile.usual_total(usage.output or 1, uncached, cached) * luck, 1, 0
        # A profile says nothing of headers, nor of where content comes in its time: both stay the call's own.
        own = call.rhythm
        return call.with_rhythm(Rhythm(round(waiting), own.headers, span, units, own.curve, ()))


class NoDonorError(LatencyError):
    """A call has nothing to take its times from."""


def lenders_in(recordings: Iterable[Recording]) -> list[TimedCall]:
    """Return the calls in recordings that can lend their times."""
    return [call for recording in recordings for _, call in timed_calls(recording) if call.can_lend]


def find_donors(own: Sequence[Recording], others: Sequence[TimedCall], profiles: Profiles) -> dict[int, Donors]:
    """Return what lends its times to each call of a test, by the number of the call.

    `own` are the recorded samples of the test, `others` the calls of the other recordings next to them.

    Raises:
        NoDonorError: a call has fewer than two donors, and its model has no profile.
    """
    calls: dict[int, list[TimedCall]] = {}
    for recording in own:
        for _, call in timed_calls(recording):
            calls.setdefault(call.number, []).append(call)
    lenders = [call for same in calls.values() for call in same if call.can_lend]
    found: dict[int, Donors] = {}
    for number, same in calls.items():
        kinds = {call.kind for call in same if call.can_lend}
        if not kinds:  # an answer that broke off, in each sample: it stays as it was recorded
            continue
        mine = [call.rhythm for call in same if call.can_lend]
        alike = [call.rhythm for call in [*lenders, *others] if call.kind in kinds]
        model = requested_model(same[0].exchange.request)
        profile = profiles.of(model)
        if len(mine) >= FEWEST:
            found[number] = Donors("its own samples", tuple(mine))
        # Without a profile, few donors are better than none. From a single one all worlds would be the same.
        elif len(alike) >= FEWEST or (profile is None and len(alike) > 1):
            found[number] = Donors("recordings of the folder", tuple(alike))
        elif profile is not None:
            found[number] = Donors("profile", profile=profile)
        else:
            raise NoDonorError(
                f"call {number} ({model}) has nothing to take its times from: no other call like it is recorded in its "
                "folder, and its model has no profile; record more samples, or name a file in latency_profiles"
            )
    return found


@final
class Worlds:
    """The worlds of one test: recordings whose times follow from the seed, the test and their number alone."""

    def __init__(self, own: Sequence[Recording], donors: dict[int, Donors], seed: int, nodeid: str) -> None:
        self._samples = [(recording, timed_calls(recording)) for recording in own]
        self._donors = donors
        self._seed = seed
        self._nodeid = nodeid

    def world(self, number: int) -> Recording:
        """Return the world of this number, from 1: the contents of a sample in turn, with redrawn times."""
        recording, calls = self._samples[(number - 1) % len(self._samples)]
        # A text is the same seed in every process. A hash of these three would not be: Python salts it.
        random = Random(f"{self._seed}/{self._nodeid}/{number}")
        changed = {
            place: self._donors[call.number].drawn(call, random)
            for place, call in calls
            if call.number in self._donors and call.can_lend
        }
        return with_exchanges(recording, changed)
