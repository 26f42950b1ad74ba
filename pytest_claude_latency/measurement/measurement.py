"""The measurement of one test: which requests it sent, what answered them, how long they took.

A higher-scoped fixture is measured the same way in its own set-up and teardown. A `Source` decides what answers: a
recording, the network, or a value. The measurement adds what is common to all sources: it observes each attempt, gives
the test a time of its own, and keeps each miss, which must fail the test even if the program swallowed the error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, Protocol, final

import pytest

from pytest_claude_latency.duration import MICROSECOND, Nanoseconds
from pytest_claude_latency.errors import VariantError
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.http.door import Door, Serving
from pytest_claude_latency.http.guard.connection import Connection, NewProcess
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.http.replay_script import Playback
from pytest_claude_latency.measurement import call_location
from pytest_claude_latency.measurement.call_log import CallLog
from pytest_claude_latency.measurement.miss import Miss, MissText
from pytest_claude_latency.measurement.unseen import Unseen
from pytest_claude_latency.measurement.variant import Variant
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.metrics.prices import SHIPPED, Prices
from pytest_claude_latency.virtual_time import EVERY_THREAD, Hold, World, WorldState
from pytest_claude_latency.virtual_time.clock import Clock, VirtualClock
from pytest_claude_latency.virtual_time.watch.stalls import StallWatch

_IN_A_CHILD: Final = """
  process   a child process asked this, and what a child asks is never recorded
  do        call Claude in threads or tasks instead of child processes"""
_NOT_TRIED: Final = """\
{variant} cannot be tried on this {request}: {error}
  test      {test}
  do        leave this call out with when={{...}}, or the variant out of @latency_variants"""


class Source(Protocol):
    """What answers the requests of one measurement."""

    @property
    def replays(self) -> bool:
        """Whether answers come from a recording, so that nothing reaches the network."""
        ...

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> Playback | None:
        """Return what answers `request`, which `line` of the program sends; `None` if it is to be sent.

        Where nothing may answer it, `measurement.misses.stop` fails the test and does not return.
        """
        ...


@final
class Misses:
    """The misses of one measurement, in the order in which they became known."""

    def __init__(self, unseen: Unseen, *, replays: bool) -> None:
        self._unseen = unseen
        self._replays = replays
        self._found: list[str | MissText] = []
        self._reported = 0
        self._is_settled = False
        """Whether a block of the program ended just now, and with a look at what it left."""

    def __bool__(self) -> bool:
        return bool(self._found)

    def stop(self, message: str | MissText) -> NoReturn:
        """Stop a program that asks for what nothing may answer.

        The exception is no `Exception`, so that neither the SDK's retries nor an application's handler hide it. The
        message is also noted, so that the test fails even if a bare `except` swallows the exception.
        """
        if self._unseen.children.is_child:  # recording again would not help
            message = (message if isinstance(message, str) else message.text) + _IN_A_CHILD
            self._unseen.missed(message)
        self._found.append(message)
        raise Miss(message)

    def take_over(self) -> None:
        """Add what was not refused on the spot: what forked children told, and what was sent out of reach."""
        self._found += self._unseen.misses_of_children()
        for connection in self._unseen.open_connections.news():
            if self._replays:
                self._found.append(connection.missed())
            else:
                self._unseen.connected(connection.as_connection())

    def fail_if_new(self) -> None:
        """Fail with the first miss since this was last asked, even if the program swallowed it."""
        __tracebackhide__ = True
        self.take_over()
        self._is_settled = True
        new, self._reported = self._found[self._reported :], len(self._found)
        if new:
            raise Miss(new[0]) from None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Fail with the first miss in this block, even if the program swallowed it."""
        __tracebackhide__ = True
        self._is_settled = False
        try:
            yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise  # the run is being stopped: a miss no longer matters
        except BaseException:
            self.fail_if_new()  # what the program raised then is most likely a consequence of the miss
            raise
        self.fail_if_new()

    def end(self) -> None:
        """Take over what is new at the end, unless the last block did: nothing of the program ran since."""
        if not self._is_settled:
            self.take_over()


@final
class Measurement:
    """What one test, or one higher-scoped fixture, did on the clock of its world."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        source: Source,
        date: datetime | None = None,
        *,
        warmup: ConnectionWarmup | None = None,
        variant: Variant | None = None,
        is_fair: bool = True,
        root: Path | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.source = source
        self.warmup = warmup
        self.variant = variant
        self.is_fair = is_fair and variant is None
        """Whether the test runs as it is written, and nothing happens to it: only then its blocks are judged."""
        self.prices: Prices = SHIPPED
        self.root = root or Path.cwd()
        self.log = CallLog(self.now, replays=source.replays, holds=self.holds)
        self._date = date
        self._origin = clock.now()
        self._worlds: list[World] = []
        self._stand_ins: list[str] = []
        self.warnings: dict[str, None] = {}
        self.varied = False
        """Whether the variant changed a request."""
        self.unseen = Unseen()
        self.misses = Misses(self.unseen, replays=source.replays)
        # No stall moves the virtual clock, and its worlds have a watch of their own.
        self._stall_watch = None if isinstance(clock, VirtualClock) else StallWatch(self.unseen.open_connections.sample)

    @property
    def replays(self) -> bool:
        """Whether answers come from a recording."""
        return self.source.replays

    # ── its time ──

    def now(self) -> Nanoseconds:
        """Return the time since the test began."""
        return self.clock.now() - self._origin

    def enter(self) -> None:
        """Begin, or go on after `leave`. Each stretch is a world of its own, on the same clock and calendar."""
        # The clock goes on over all stretches, the calendar is the world's own: it starts again where time stands now.
        passed = timedelta(microseconds=self.now() // MICROSECOND)
        look = self.unseen.open_connections.sample
        world = World(self.clock, name=self.name, date=self._date and self._date + passed, on_look=look)
        # first, so that its thread is none of the world's
        if self._stall_watch is not None:
            self._stall_watch.start()
        if not self._worlds:
            self.unseen.open_connections.look(replays=self.replays)
        self.unseen.entered()
        world.enter()
        self._worlds.append(world)

    def leave(self) -> None:
        """Give time back to the machine, for good or until `enter`."""
        if self._worlds:
            self._worlds[-1].leave()
            self.unseen.left()
        if self._stall_watch is not None:
            self._stall_watch.stop()

    def close(self) -> None:
        """End what is under way: nothing follows."""
        self.log.close()
        self.misses.end()
        self.unseen.children.forget()

    def lives_in(self, world: WorldState) -> bool:
        """Return whether `world` is, or was, one of its stretches."""
        return any(world is stretch for stretch in self._worlds)

    def real_waits(self) -> list[object]:
        """Return the waits in its worlds that cost real seconds."""
        return [wait for world in self._worlds for wait in world.real_waits()]

    @property
    def stalls(self) -> list[tuple[Nanoseconds, Nanoseconds]]:
        """When the machine stalled in a live measurement: each from when to when, since the test began."""
        # What was recorded has its times from the recording, on whatever clock it is replayed.
        stalls = [] if self._stall_watch is None or self.replays else self._stall_watch.stalls
        return [(start - self._origin, end - self._origin) for start, end in stalls]

    def holds(self) -> list[Hold]:
        """Return the stretches in which the program held one of its threads. They count from when the test began."""
        holds = [hold for world in self._worlds for hold in world.holds]
        lags = [] if self._stall_watch is None or self.replays else self._stall_watch.lags
        holds += [Hold(EVERY_THREAD, start, end) for start, end in lags]
        return [hold.since(self._origin) for hold in holds]

    def sleep_until(self, instant: Nanoseconds) -> None:
        """Block the calling thread until `instant`."""
        self._worlds[-1].sleep_until(instant)

    def async_sleep_until(self, instant: Nanoseconds, since: Nanoseconds | None = None) -> Awaitable[None]:
        """Suspend the calling task until `instant`, or until a hold ends that made late what was there `since` then."""
        return self._worlds[-1].async_sleep_until(instant, since)

    def skipping(self) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return what lets the clock read an instant, without a wait, where only the calling thread could go on."""
        return self._worlds[-1].skipping()

    def async_skipping(self, player: FrameType) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return the same for the running task."""
        return self._worlds[-1].async_skipping(player)

    # ── its requests ──

    def answer(self, request: Request, door: Door) -> Serving:
        """Return what happens to `request`, which came through `door`, and the attempt that notes it.

        A variant changes the request first. A request that cannot be changed, or that nothing may answer, is a miss.
        """
        self.unseen.sent(request.title)
        sent, line = request, call_location.of_this_call(self.root)
        # Only what makes a message: a variant's fields would be refused by the endpoints that count or list.
        if self.variant is not None and is_prompt_call(request):
            try:
                sent = self.variant.applied(request)
            except VariantError as error:
                self.misses.stop(
                    _NOT_TRIED.format(variant=self.variant.name, request=request.title, error=error, test=self.name)
                )
            self.varied = self.varied or sent is not request
        attempt = Attempt(sent, self.clock, self._origin, door.decoded, client=door.client_of(request), line=line)
        playback = self.source.playback_for(sent, self, line)
        if playback is not None:
            attempt.foretold(playback.recorded, playback.place)
        self.log.file(attempt)  # only now: a miss is no attempt
        return Serving(attempt, sent, sent is not request, playback, None if playback else self.warmup)

    def note_stand_in(self, request: Request) -> None:
        """Note a request that a stand-in for the API answers. In a replay that is as good as any answer."""
        if not self.replays:
            self._stand_ins.append(request.title)

    @property
    def answered_elsewhere(self) -> list[str]:
        """What was asked for that something other than the API answered, in a run that calls the API."""
        return [*self._stand_ins, *(call.attempts[0].request.title for call in self.log.foreign)]

    @property
    def asked_the_api(self) -> bool:
        """Whether what is filed is what the test asks of the API. Not, if all that it asks was answered elsewhere."""
        return bool(self.log.exchanges) or not self.answered_elsewhere

    def met_outside(self, connection: Connection) -> None:
        """Learn of a connection to a Claude API that no door opened. In a replay it is a miss."""
        if self.replays:
            self.misses.stop(connection.refused())
        self.unseen.connected(connection)

    def met_process(self, process: NewProcess) -> None:
        """Learn of a process that the program starts."""
        self.unseen.started(process)

    def warn(self, message: str) -> None:
        """Add a warning, which the summary shows once."""
        self.warnings[message] = None
