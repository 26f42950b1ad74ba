"""A recorded exchange as a script: what it does, independent of any client library.

The script says which instants to wait for, which bytes to hand out and which error to raise. The door of a client
library plays it, sync or async. Time-outs are the program's own. They are judged here against the recorded instants,
as a socket would judge them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter, sub
from types import FrameType
from typing import NoReturn, Protocol, final

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.http.error_texts import Wire, text_of
from pytest_claude_latency.messages_api.exchange import Chunk, Connect, End, Exchange, Response
from pytest_claude_latency.virtual_time.clock import Clock

_LEAST_SLACK: Nanoseconds = 250 * MILLISECOND
_AT_ONCE: Nanoseconds = 20 * MILLISECOND
"""How soon after the last part of an answer a program reads its end that nothing keeps from it."""


def slack_of(recorded: Exchange, sent: Nanoseconds) -> Nanoseconds:
    """Return how long a program may go on past the point where the recorded one stopped; `sent` is when it asks now.

    A recording contains the time that the program itself computed, and virtual time does not: a time-out that fired
    194 ms after the request was sent while recording fires after 200 ms in the replay. A time-out that began before the
    request can be late by all that the recorded program computed by then: as much earlier as the request is sent now.
    """
    return max(_LEAST_SLACK, recorded.sent - sent)


class Waiter(Protocol):
    """A clock that one can wait on."""

    @property
    def clock(self) -> Clock:
        """The clock on which instants are told."""
        ...

    def sleep_until(self, instant: Nanoseconds) -> None:
        """Block the calling thread until `instant`."""
        ...

    def async_sleep_until(self, instant: Nanoseconds, since: Nanoseconds | None = None) -> Awaitable[None]:
        """Suspend the calling task until `instant`.

        With `since`, what it waits for may have been there since then: it was taken late. So a hold of the loop that
        made it late ends the wait, too.
        """
        ...

    def skipping(self) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return what lets the clock read an instant, without a wait, if only the calling thread could go on till then.

        It returns what the clock reads then, or None if the thread has to wait.
        """
        ...

    def async_skipping(self, player: FrameType) -> Callable[[Nanoseconds], Nanoseconds | None]:
        """Return the same for the running task; `player` is the frame of the generator that will ask."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Timeouts:
    """The program's own limits for one request. `None`: it waits without one."""

    connect: Nanoseconds | None = None
    read: Nanoseconds | None = None
    write: Nanoseconds | None = None
    pool: Nanoseconds | None = None

    def allowed(self, error: str) -> Nanoseconds | None:
        """Return how long the program waits before it raises the error that a recording calls `error`."""
        match error:
            case "ConnectTimeout":
                return self.connect
            case "WriteTimeout":
                return self.write
            case "PoolTimeout":
                return self.pool
        return self.read


_TIMEOUTS = frozenset({"ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout"})
_LATE = attrgetter("late")
NO_CONNECTION = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
"""The errors of a program that got no connection."""


@final
@dataclass(frozen=True, slots=True)
class Playback:
    """The recorded exchange that answers a request, and the clock on which it is played."""

    recorded: Exchange
    waiter: Waiter
    overrun: Callable[[Exchange, Nanoseconds | None], NoReturn]
    """Fails the test of a program that reads on where the recorded one stopped, and would for so long, if known."""
    place: int = 0
    """The place of the exchange in its recording."""
    slack: Nanoseconds = _LEAST_SLACK
    """How long the program may go on past the point where the recorded one stopped."""
    warn: Callable[[str], None] = lambda message: None
    """Tells the user of the test that something is not quite as it was recorded."""

    @property
    def got_connection(self) -> Nanoseconds:
        """When the recorded request had waited for a connection of its pool, since the start of the test."""
        connect = self.recorded.connect
        return self.recorded.sent + (0 if connect is None else connect.at)

    def script(
        self, timeouts: Timeouts, error: Callable[[str, str], Exception], *, wire: Wire = "sync"
    ) -> ReplayScript:
        """Return the script of the exchange. It begins now.

        `error` makes the exception of the client library from the name in the recording, which is a name of httpx, and
        the text that it had on the wire. `wire` says what carries the request: errors of each have other texts.
        """
        return ReplayScript(self, timeouts, error, wire=wire)


@final
class ReplayScript:
    """One recorded exchange, played once: `connection`, then `headers`, then `body`."""

    def __init__(
        self, playback: Playback, timeouts: Timeouts, error: Callable[[str, str], Exception], *, wire: Wire = "sync"
    ) -> None:
        self._recorded = playback.recorded
        self._end = playback.recorded.end or End(0)
        self._overrun = playback.overrun
        self._slack = playback.slack
        self._timeouts = timeouts
        self._error = error
        self._wire = wire
        self._now = playback.waiter.clock.now
        self._start = self._now()
        self.since: Nanoseconds | None = None
        """Since when what is being waited for may have been there, if the recorded program was late to take it."""

    def limit_reads(self, timeout: Nanoseconds | None) -> None:
        """Let the program wait for so long for each next part, as it says only when it is connected."""
        self._timeouts = replace(self._timeouts, read=timeout)

    def limit_connecting(self, timeout: Nanoseconds | None) -> None:
        """Let the program wait for so long for a connection."""
        self._timeouts = replace(self._timeouts, connect=timeout)

    def postpone(self, waited: Nanoseconds) -> Connect | None:
        """Begin later, because the program had to wait before it could ask for a connection.

        As far as the recorded program waited too, its wait is in the recording already: each wait is noted as part of
        the connection, also where an open one became free. Return the connection as this program comes by it.
        """
        recorded = self._recorded.connect
        later = waited - (recorded.at if recorded else 0)
        if later <= 0 or self._end.error == "PoolTimeout":  # then the program waited from the start, for nothing else
            return recorded
        self._start += later
        return Connect(waited, recorded.duration if recorded else 0)

    @property
    def response(self) -> Response:
        """The recorded status and headers, once `headers` is exhausted. It raises where none were recorded."""
        assert self._recorded.response is not None
        return self._recorded.response

    def connection(self) -> Iterator[Nanoseconds]:
        """Yield the instants to wait for until a connection is there. Raise the error if none could be had."""
        if (connect := self._recorded.connect) is not None:
            opened = self._start + connect.at  # a wait for a free connection of the pool lies before it
            yield from self._in_time(opened, opened + connect.duration, "ConnectTimeout")
        if self._recorded.response is None and self._end.error in NO_CONNECTION:
            yield from self._break_off(self._connected)

    def headers(self) -> Iterator[Nanoseconds]:
        """Yield the instants to wait for from then until the headers are here. Raise the error if none came."""
        if self._recorded.response is None:
            yield from self._break_off(self._connected)
        else:
            response = self._recorded.response
            yield from self._in_time(self._connected, self._start + response.at, "ReadTimeout", self._late(response))

    def body(self) -> Iterator[tuple[Nanoseconds, bytes | None]]:
        """Return the instants of the body, each with the chunk that is due then; with `None` it is only a wait.

        Whoever plays it need not wait for an instant that has passed: a wait, even one of no time, gives the turn to
        other threads and tasks.

        A read time-out counts from when the program asks for the next bytes. Chunks that decompress to nothing end the
        wait of a socket too, so they are served like any other.
        """
        chunks, patience = self._recorded.chunks, self._timeouts.read
        self.since = None
        instants = [self._start + chunk.at for chunk in chunks]
        # The program asks for a chunk when it has the one before, or later. So most often it can be seen beforehand
        # that it is patient enough, and no step of Python's is needed for a chunk.
        is_patient = patience is None or max(map(sub, instants, chain([self._start], instants)), default=0) <= patience
        if is_patient and not any(map(_LATE, chunks)):
            return chain(zip(instants, [chunk.data for chunk in chunks], strict=True), self._ending())
        return self._body_in_time(patience)

    def _body_in_time(self, patience: Nanoseconds | None) -> Iterator[tuple[Nanoseconds, bytes | None]]:
        """Yield the body for a program that may have a read time-out, or was late to read."""
        for chunk in self._recorded.chunks:
            due, now, late = self._start + chunk.at, self._now(), self._late(chunk)
            if patience is not None and due - late - now > patience:
                yield from ((instant, None) for instant in self._in_time(now, due, "ReadTimeout", late))
            yield due, chunk.data
        yield from self._ending()

    def _ending(self) -> Iterator[tuple[Nanoseconds, None]]:
        """Yield the instants to wait for behind the last chunk: a socket waits there too, with a new time-out."""
        asked = self._now()
        self.since = None
        if self._end.error is None and self._end.closed is None:
            last = self._recorded.chunks[-1] if self._recorded.chunks else self.response
            # An end comes with the last part. A program that read it later was held in between.
            self.since = self._start + max(last.at - (last.late if self._end.at - last.at <= _AT_ONCE else 0), 0)
            waits = self._in_time(asked, self._start + self._end.at, "ReadTimeout")
        else:
            waits = self._break_off(asked)
        yield from ((instant, None) for instant in waits)

    @property
    def _connected(self) -> Nanoseconds:
        connect = self._recorded.connect
        return self._start if connect is None else self._start + connect.at + connect.duration

    def _late(self, part: Response | Chunk) -> Nanoseconds:
        """Note since when a part may have been there, and return how much that is before it was taken."""
        late = min(part.late, part.at)  # a fault may have put it to the beginning
        self.since = self._start + part.at - late if late else None
        return late

    def _in_time(
        self, since: Nanoseconds, due: Nanoseconds, error: str, late: Nanoseconds = 0
    ) -> Iterator[Nanoseconds]:
        """Wait for `due`, or for the program's own time-out counted from `since`, whichever comes first.

        A program that was so `late` had no time-out of its own: it read what was there when it looked again.
        """
        allowed = self._timeouts.allowed(error)
        if allowed is not None and due - late - since > allowed:
            self.since = None  # a time-out of the program's own has its exact instant
            yield since + allowed
            # In mid-stream the SDK hands this exception to the program as it is, so it has to be the library's own.
            raise self._failure(error)
        yield due

    def _break_off(self, since: Nanoseconds) -> Iterator[Nanoseconds]:
        """Wait, and then end as the recorded program did not get further.

        A failure of the wire is raised again. Where the recorded program stopped waiting, by its own time-out or its
        own choice, it is not known what would have come, so this program has to stop waiting as well.
        """
        failure = self._end.error
        if failure is not None and failure not in _TIMEOUTS:
            # This program may be less patient than the recorded one: then its own time-out comes first.
            patience = "ConnectTimeout" if failure == "ConnectError" else "ReadTimeout"
            yield from self._in_time(since, self._start + self._end.at, patience)
            raise self._failure(failure)
        # Each kind of time-out counts from another moment.
        timeout = failure or "ReadTimeout"
        if timeout == "ConnectTimeout":
            since = self._start + (self._recorded.connect.at if self._recorded.connect else 0)
        elif timeout in ("PoolTimeout", "WriteTimeout"):
            since = self._start
        allowed = self._timeouts.allowed(timeout)
        latest = self._start + self._end.at + self._slack
        if allowed is not None and since + allowed <= latest:
            yield since + allowed
            raise self._failure(timeout)
        yield latest  # whoever is still waiting then has left what was recorded
        self._overrun(self._recorded, allowed)

    def _failure(self, name: str) -> Exception:
        """Return the error called `name`, with the text it had on the wire."""
        text = self._end.message if name == self._end.error else None
        if text is None:
            in_body, url = self._recorded.response is not None, self._recorded.request.url
            text = text_of(name, url, in_body=in_body, wire=self._wire)
        return self._error(name, text)
