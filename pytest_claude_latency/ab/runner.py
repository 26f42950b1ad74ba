"""Side by side: after a test has ended, its recorded requests and its current ones are sent in pairs.

Each pair goes out in random order over one connection of a client of its own, so that host, moment and connection are
the same for both and only what is asked differs. Nothing of it is the test's: not its calls, not its time, and nothing
is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, final

from pytest_claude_latency.ab.pairs import Arm, Arms, NotCompared, SideBySide
from pytest_claude_latency.ab.recorded_request import Counterparts, Found, Obstacle, counterparts
from pytest_claude_latency.cassettes.matching import Rules
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.secrets import conceal_url
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.http.connection_warmup import Warming
from pytest_claude_latency.measurement.measurement import Measurement, Phase
from pytest_claude_latency.measurement.sources import Network
from pytest_claude_latency.messages_api.exchange import Exchange, Request
from pytest_claude_latency.metrics.conditions import conditions_of
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.run.cassette_file import shown
from pytest_claude_latency.run.session import Session
from pytest_claude_latency.virtual_time.clock import WallClock

T = TypeVar("T")


@final
class Alternation:
    """Sends the recorded requests of a test and its current ones; `heads` tosses a coin for which goes first."""

    def __init__(self, session: Session, heads: Callable[[], bool]) -> None:
        self._session = session
        self._heads = heads

    def of(self, ended: Measurement, path: Path, rules: Rules) -> SideBySide:
        """What the calls of a live measurement that has ended say beside the recording in `path`."""
        where = shown(path, self._session.config.rootpath)
        calls = sum(phase is Phase.BODY for phase, _ in ended.prompts())
        if not calls:
            return SideBySide(calls=0, recording=where)
        try:
            recording = Recording.load(path)
        except CassetteError as error:
            why = error.seen_from(self._session.config.rootpath) if path.exists() else f"there is no recording: {where}"
            return SideBySide(calls=calls, recording=where, not_compared=(NotCompared(None, why, mendable=True),))
        found = dict(enumerate(self._found(recording, ended, rules), 1))
        pairs = {number: each for number, each in found.items() if isinstance(each, Counterparts)}
        obstacles = [(number, each) for number, each in found.items() if isinstance(each, Obstacle)]
        return SideBySide(
            calls=calls,
            recording=where,
            pairs=tuple(self._measured(pairs, ended) if pairs else ()),
            not_compared=tuple(NotCompared(number, each.reason, each.mendable) for number, each in obstacles),
        )

    def _found(self, recording: Recording, ended: Measurement, rules: Rules) -> list[Found]:
        """What there is to send for each call of the body, in their order."""
        made = ended.prompts()
        last = [attempts[-1] for _, attempts in made]
        found = counterparts(recording, last, ended.exchanges(), rules, self._session.settings.redact)
        return [each for each, (phase, _) in zip(found, made, strict=True) if phase is Phase.BODY]

    def _measured(self, pairs: Mapping[int, Counterparts], ended: Measurement) -> Iterator[Arms]:
        stack = ended.stack
        measurement = Measurement(ended.name, WallClock(), Network(), stack, warming=Warming(stack))
        kept: list[bool] = []  # whether the recorded request went first
        with self._session.during(measurement), stack.client() as client:
            for pair in pairs.values():
                kept.append(self._heads())
                for request in _in_order(pair.recorded, pair.current, kept[-1]):
                    _send(request, client, measurement)
        measurement.close()
        arms = [_arm(attempts) for _, attempts in measurement.prompts()]
        for number, one, other, as_named in zip(pairs, arms[::2], arms[1::2], kept, strict=True):
            yield Arms(number, *_in_order(one, other, as_named))


def _in_order(one: T, other: T, kept: bool) -> tuple[T, T]:
    return (one, other) if kept else (other, one)


def _send(request: Request, client: Any, measurement: Measurement) -> None:
    """Send it once, below everything that intercepts requests or repeats them, and read its answer to the end."""
    raw = client.build_request(request.method, request.url, headers=list(request.headers), content=request.content)
    transport = measurement.transport_for(request, client._transport_for_url(raw.url))
    with suppress(Exception):  # it is noted how the attempt ended
        response = transport.handle_request(raw)
        for _ in response.stream:
            pass
        response.close()


def _arm(attempts: Sequence[Exchange]) -> Arm:
    call = measure(attempts)
    return Arm(replace(call, url=conceal_url(call.url)), conditions_of(attempts))
