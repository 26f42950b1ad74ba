"""What a recorded exchange does, told as instants, bytes and errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import NoReturn

import pytest

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.http.replay_script import Playback, ReplayScript, Timeouts
from pytest_claude_latency.messages_api.exchange import Chunk, Connect, End, Exchange, Response
from pytest_claude_latency.virtual_time.clock import VirtualClock
from tests.support.some_recording import asking

WHOLE = Exchange(
    0,
    asking(b"{}"),
    Connect(1 * SECOND, 2 * SECOND),
    Response(5 * SECOND, 200),
    (Chunk(6 * SECOND, b"Hello"), Chunk(9 * SECOND, b"world")),
    End(10 * SECOND),
)


class LibraryError(Exception):
    pass


class OverrunError(BaseException):
    pass


class Player:
    """A clock that stands until someone waits on it, and what was played on it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()

    def sleep_until(self, instant: Nanoseconds) -> None:
        self.clock.advance_to(max(instant, self.clock.now()))

    def async_sleep_until(self, instant: Nanoseconds, since: Nanoseconds | None = None) -> Awaitable[None]:
        raise NotImplementedError

    def skipping(self) -> Callable[[Nanoseconds], Nanoseconds | None]:
        raise NotImplementedError

    def async_skipping(self, player: FrameType) -> Callable[[Nanoseconds], Nanoseconds | None]:
        raise NotImplementedError

    def script(self, recorded: Exchange, timeouts: Timeouts | None = None) -> ReplayScript:
        def overrun(exchange: Exchange, patience: int | None) -> NoReturn:
            raise OverrunError

        playback = Playback(recorded, self, overrun)
        return playback.script(timeouts or Timeouts(), lambda name, message: LibraryError(f"{name}: {message}"))

    def play(self, instants: Iterator[Nanoseconds]) -> int:
        """Wait for each instant, and return the second at which the last one was."""
        for instant in instants:
            self.sleep_until(instant)
        return self.clock.now() // SECOND


def test_the_phases_follow_each_other_on_the_clock() -> None:
    player = Player()
    script = player.script(WHOLE)

    phases = [player.play(script.connection()), player.play(script.headers())]
    chunks = [(due // SECOND, data) for due, data in script.body()]

    assert phases == [3, 5]
    assert script.response.status == 200
    assert chunks == [(6, b"Hello"), (9, b"world"), (10, None)]


@pytest.mark.parametrize(
    ("error", "phase", "second"),
    [("ConnectError", "connection", 4), ("PoolTimeout", "connection", 2), ("ReadError", "headers", 4)],
)
def test_an_error_comes_in_the_phase_it_belongs_to(error: str, phase: str, second: int) -> None:
    player = Player()
    failed = Exchange(0, asking(b"{}"), end=End(4 * SECOND, error=error))
    script = player.script(failed, Timeouts(pool=2 * SECOND))

    with pytest.raises(LibraryError, match=error):
        player.play(getattr(script, phase)())

    assert player.clock.now() == second * SECOND


def test_a_limit_of_the_program_comes_before_a_later_recorded_instant() -> None:
    player = Player()
    script = player.script(WHOLE, Timeouts(connect=1 * SECOND))

    with pytest.raises(LibraryError, match="ConnectTimeout: "):
        player.play(script.connection())

    assert player.clock.now() == 2 * SECOND  # it had to wait for a second before it could begin to connect


def test_who_waits_longer_than_the_recorded_program_has_left_the_recording() -> None:
    player = Player()
    closed = Exchange(0, asking(b"{}"), response=Response(SECOND, 200), end=End(2 * SECOND, closed="client"))
    script = player.script(closed)
    player.play(script.headers())

    with pytest.raises(OverrunError):
        player.play(due for due, _ in script.body())


def test_what_the_recorded_program_took_late_meets_no_time_out_and_says_since_when_it_may_be_there() -> None:
    late = Exchange(
        0,
        asking(b"{}"),
        None,
        Response(5 * SECOND, 200, late=4 * SECOND),
        (Chunk(6 * SECOND, b"Hello"), Chunk(9 * SECOND, b"world", late=2 * SECOND)),
        End(9 * SECOND),
    )
    player = Player()
    script = player.script(late, Timeouts(read=2 * SECOND))

    assert [(instant // SECOND, script.since) for instant in script.headers()] == [(5, 1 * SECOND)]
    player.play(iter([5 * SECOND]))

    assert [
        (instant // SECOND, data, script.since and script.since // SECOND)
        for instant, data in script.body()
        if player.play(iter([instant]))
    ] == [(6, b"Hello", None), (9, b"world", 7), (9, None, 7)]
