"""One test being measured: which requests it sent, what answered them, which calls they make up.

A wider-scoped fixture is measured the same way in its own set-up and teardown.
What answers is a `Source`'s affair: a recording, the network, or a value. A
measurement adds what is common: it observes every attempt, tells the calls of
the body from those of fixtures, and keeps what must fail the test even if the
program swallowed the error.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import NoReturn, Protocol, final
from weakref import ref

import pytest

from pytest_claude_latency.cassettes.secrets import conceal_url
from pytest_claude_latency.duration import MICROSECOND, Nanoseconds, seconds
from pytest_claude_latency.errors import VariantError
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.http.library import HTTPLibrary, Transport
from pytest_claude_latency.http.recorder import Attempt, ObservedTransport
from pytest_claude_latency.http.rewriting import RewritingTransport
from pytest_claude_latency.measurement.variant import Variant
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header
from pytest_claude_latency.metrics.conditions import conditions_of
from pytest_claude_latency.metrics.timeline import Call, is_prompt_call, measure
from pytest_claude_latency.virtual_time import World, WorldState
from pytest_claude_latency.virtual_time.clock import Clock


class Phase(Enum):
    """Where in a test's life a request was sent."""

    SETUP = "setup"
    BODY = "body"
    TEARDOWN = "teardown"


class Source(Protocol):
    """What answers the requests of one measurement."""

    @property
    def replays(self) -> bool:
        """Whether answers come from a recording, so that nothing reaches the network."""
        ...

    def transport_for(self, request: Request, real: Transport, measurement: Measurement) -> Transport:
        """The transport that answers `request`; `real` is the client's own.

        Where nothing may answer it, `measurement.miss` says so and does not return.
        """
        ...


@dataclass(eq=False)
class _Call:
    """The attempts of one SDK method invocation."""

    of: Measurement
    phase: Phase
    attempts: list[Attempt] = field(default_factory=list)

    def goes_on_with(self, request: Request) -> bool:
        """Whether `request` is this call's next attempt, or the next step of a redirected one."""
        last = self.attempts[-1]
        if not (last.ended or last.location) or request.content != last.request.content:
            return False
        if last.location is not None and _retry(request) == _retry(last.request):
            return request.url != last.request.url
        return _retry(request) == _retry(last.request) + 1 and request.url == self.attempts[0].request.url

    def exchanges(self) -> list[Exchange]:
        return [attempt.exchange() for attempt in self.attempts]


# SDK retries run in the context of the call they belong to, whichever loop, task or thread that is. A context lives as
# long as its thread, so it must keep no call alive.
_LATEST: ContextVar[ref[_Call] | None] = ContextVar("claude_latency_call", default=None)


def _retry(request: Request) -> int:
    count = header(request.headers, "x-stainless-retry-count") or "0"
    return int(count) if count.isdecimal() else 0


@final
class Measurement:
    """What one test (or wide fixture) did, on the clock of its world."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        source: Source,
        library: HTTPLibrary,
        date: datetime | None = None,
        *,
        warmup: ConnectionWarmup | None = None,
        variant: Variant | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.source = source
        self.warmup = warmup
        self.variant = variant
        self.varied = 0
        """How many requests the variant changed."""
        self.phase = Phase.SETUP
        self.misses: list[str] = []
        self.library = library
        self._date = date
        self._told = 0
        self._worlds: list[World] = []
        self._origin = clock.now()
        self._calls: list[_Call] = []
        self._lock = threading.Lock()

    @property
    def replays(self) -> bool:
        """Whether answers come from a recording."""
        return self.source.replays

    # ── its time ──

    def enter(self) -> None:
        """Begin, or go on after `leave`: each stretch is a world of its own, on one clock and one calendar."""
        passed = timedelta(microseconds=(self.clock.now() - self._origin) // MICROSECOND)
        world = World(self.clock, name=self.name, date=self._date and self._date + passed)
        world.enter()
        self._worlds.append(world)

    def leave(self) -> None:
        """Let time be the machine's, for good or until `enter`."""
        if self._worlds:
            self._worlds[-1].leave()

    def lives_in(self, world: WorldState) -> bool:
        """Whether `world` is, or was, one of its stretches."""
        return any(world is each for each in self._worlds)

    def real_waits(self) -> list[object]:
        """Waits in its worlds that cost real seconds."""
        return [wait for world in self._worlds for wait in world.real_waits()]

    def sleep_until(self, instant: Nanoseconds) -> None:
        """Block the calling thread until `instant`."""
        self._worlds[-1].sleep_until(instant)

    def async_sleep_until(self, instant: Nanoseconds) -> Awaitable[None]:
        """Suspend the calling task until `instant`."""
        return self._worlds[-1].async_sleep_until(instant)

    # ── its requests ──

    def transport_for(self, request: Request, real: Transport) -> Transport:
        """Answer a request and observe it."""
        sent = self._varied(request)
        attempt = Attempt(sent, self.clock, self._origin, self.library)
        inner = self.source.transport_for(sent, real, self)
        attempt.foretold(getattr(inner, "connect", None))
        attempt.place = getattr(inner, "place", 0)
        self._file(attempt)
        carrier = inner if sent is request else RewritingTransport(inner, sent, self.library)
        observed = ObservedTransport(carrier, attempt, self.library)
        return observed if self.warmup is None else self.warmup.ahead_of(observed, attempt, inner)

    def _varied(self, request: Request) -> Request:
        """What is sent in place of `request`."""
        if self.variant is None or not is_prompt_call(request):
            return request
        try:
            sent = self.variant.applied(request)
        except VariantError as error:
            self.miss(
                f"{self.variant.name} cannot be tried on this {request.title}: {error}\n"
                f"  test      {self.name}\n"
                f"  do        leave this call out with when={{...}}, or the variant out of @latency_variants"
            )
        self.varied += sent is not request
        return sent

    def miss(self, message: str) -> NoReturn:
        """Stop a program that asks for what nothing may answer.

        What is raised is not an `Exception`, so that neither the SDK's retries nor an application's handler hides
        it; and it is noted, so that the test fails even if it is swallowed.
        """
        self.misses.append(message)
        raise pytest.fail.Exception(message, pytrace=False)

    def fail_if_missed(self) -> None:
        """Fail with the first miss since this was last asked, whatever the program made of it."""
        __tracebackhide__ = True
        news, self._told = self.misses[self._told :], len(self.misses)
        if news:
            raise pytest.fail.Exception(news[0], pytrace=False) from None

    @contextmanager
    def minding_misses(self) -> Iterator[None]:
        """A miss fails the test, whatever the program made of it."""
        __tracebackhide__ = True
        try:
            yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException:
            self.fail_if_missed()
            raise
        self.fail_if_missed()

    def _file(self, attempt: Attempt) -> None:
        with self._lock:
            call = self._continued(attempt.request)
            if call is None:
                call = _Call(self, self.phase)
                self._calls.append(call)
            call.attempts.append(attempt)
        _LATEST.set(ref(call))

    def _continued(self, request: Request) -> _Call | None:
        known = _LATEST.get()
        latest = None if known is None else known()
        if latest is not None and latest.of is self and latest.goes_on_with(request):
            return latest
        if _retry(request) == 0:
            return None
        # an attempt made in a context of its own, by a middleware say: the oldest call that waits for one
        return next((call for call in self._calls if call.goes_on_with(request)), None)

    def calls(self, *phases: Phase, since: int = 0) -> tuple[Call, ...]:
        """The prompt calls sent in these phases, in the order sent; `since` leaves out the first so many requests.

        Their URLs are fit to be shown: a key or password in one is left out.
        """
        calls = (measure(call.exchanges()) for call in self._made(phases, since) if _is_prompt(call))
        return tuple(replace(call, url=conceal_url(call.url)) for call in calls)

    def conditions(self, *phases: Phase) -> tuple[Mapping[str, str], ...]:
        """What may have made each of `calls` fast or slow."""
        return tuple(conditions_of(call.exchanges()) for call in self._made(phases, 0) if _is_prompt(call))

    def attempts(self, *phases: Phase, since: int = 0) -> tuple[tuple[Exchange, ...], ...]:
        """The exchanges of each call of these phases, in the order sent, also of those that make no message."""
        return tuple(tuple(call.exchanges()) for call in self._made(phases, since))

    def prompts(self) -> tuple[tuple[Phase, tuple[Exchange, ...]], ...]:
        """The attempts of each prompt call, in the order sent, and the phase it was sent in. They hold credentials."""
        return tuple((call.phase, tuple(call.exchanges())) for call in list(self._calls) if _is_prompt(call))

    def elapsed(self, *phases: Phase, since: int = 0) -> float | None:
        """Seconds from the first request sent to the last answer ended; None without a request."""
        exchanges = [exchange for call in self._made(phases, since) for exchange in call.exchanges()]
        if not exchanges:
            return None
        return seconds(max(self._ended(exchange) for exchange in exchanges) - min(e.sent for e in exchanges))

    def now(self) -> Nanoseconds:
        """The time since the test began."""
        return self.clock.now() - self._origin

    def mark(self) -> int:
        """Where the list of requests stands now, for `since`."""
        return len(self._calls)

    def exchanges(self) -> tuple[Exchange, ...]:
        """Every attempt made, in the order sent."""
        attempts = [attempt for call in list(self._calls) for attempt in call.attempts]
        return tuple(attempt.exchange() for attempt in sorted(attempts, key=lambda attempt: attempt.sent))

    @property
    def met_another_loop(self) -> bool:
        """Whether an attempt failed because its connection belonged to another event loop than the one that asked."""
        return any(attempt.met_another_loop for call in list(self._calls) for attempt in call.attempts)

    def close(self) -> None:
        """Nothing follows: an answer nobody finished reading was closed by the program."""
        for call in self._calls:
            for attempt in call.attempts:
                attempt.finish(closed="client")

    def _made(self, phases: Sequence[Phase], since: int) -> Iterable[_Call]:
        made = [call for call in self._calls[since:] if call.phase in phases]
        if self.replays:  # which of two threads is first at one instant may depend on the machine
            made.sort(key=lambda call: (call.attempts[0].sent, call.attempts[0].place))
        return made

    def _ended(self, exchange: Exchange) -> Nanoseconds:
        if exchange.end is None:
            return self.now()
        return exchange.sent + exchange.end.at


def _is_prompt(call: _Call) -> bool:
    return is_prompt_call(call.attempts[0].request)
