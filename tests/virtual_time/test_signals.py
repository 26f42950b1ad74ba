"""Signals that a thread of the program sends: the main thread is interrupted at the instant they are sent."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType

import pytest
import trio

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs the signals of POSIX")


class InterruptionError(Exception):
    """What the handler raises."""


SENDERS: dict[str, Callable[[], None]] = {
    "os.kill": lambda: os.kill(os.getpid(), signal.SIGUSR1),
    "signal.pthread_kill": lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1),
}


@pytest.fixture(params=SENDERS)
def sent_after_a_second(request: pytest.FixtureRequest, world: World) -> Iterator[None]:
    """A thread of the program sends the signal at the first second."""
    before = signal.getsignal(signal.SIGUSR1)
    timer = threading.Timer(1, SENDERS[request.param])
    timer.start()
    yield
    timer.join()
    signal.signal(signal.SIGUSR1, before)


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=10)


WAITS: dict[str, Callable[[], object]] = {
    "sleep": lambda: time.sleep(10),
    "Event.wait": lambda: threading.Event().wait(10),
    "Queue.get": lambda: queue.Queue().get(timeout=10),
    "SimpleQueue.get": lambda: queue.SimpleQueue().get(timeout=10),
    "Lock.acquire": wait_for_a_lock,
    "asyncio": lambda: asyncio.run(asyncio.sleep(10)),
}


@pytest.mark.usefixtures("sent_after_a_second")
@pytest.mark.parametrize("wait", WAITS.values(), ids=list(WAITS))
def test_a_handler_that_raises_ends_the_wait(world: World, wait: Callable[[], object]) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise InterruptionError

    signal.signal(signal.SIGUSR1, interrupt)
    with pytest.raises(InterruptionError):
        wait()

    assert world.clock.now() == SECOND


@pytest.mark.usefixtures("sent_after_a_second")
def test_after_a_handler_that_returns_the_wait_goes_on(world: World) -> None:
    instants: list[int] = []
    signal.signal(signal.SIGUSR1, lambda *_: instants.append(world.clock.now()))

    for wait in (lambda: time.sleep(10), lambda: threading.Event().wait(10)):
        wait()

    assert instants == [SECOND]
    assert world.clock.now() == 20 * SECOND


@pytest.mark.usefixtures("sent_after_a_second")
def test_a_handler_may_wait_itself(world: World) -> None:
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(2))

    time.sleep(1.5)

    assert world.clock.now() == 3 * SECOND


@pytest.mark.usefixtures("sent_after_a_second")
def test_a_handler_may_end_the_wait_it_interrupts(world: World) -> None:
    came = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: came.set())

    assert came.wait(10)
    assert world.clock.now() == SECOND


@pytest.mark.usefixtures("sent_after_a_second")
def test_a_loop_calls_its_handler_at_that_instant(world: World) -> None:
    async def main() -> None:
        came = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, came.set)
        await asyncio.wait_for(came.wait(), 10)
        assert world.clock.now() == SECOND

    asyncio.run(main())


@pytest.mark.usefixtures("sent_after_a_second")
def test_a_trio_run_receives_the_signal_at_that_instant(world: World) -> None:
    async def main() -> None:
        with trio.open_signal_receiver(signal.SIGUSR1) as signals:
            async for _ in signals:
                assert world.clock.now() == SECOND
                return

    trio.run(main)


def test_a_loop_of_waits_for_a_signal_ends_at_its_deadline(world: World) -> None:
    rounds, deadline = 0, time.monotonic() + 1
    while time.monotonic() < deadline:
        assert signal.sigtimedwait([signal.SIGUSR2], 0.05) is None
        rounds += 1

    assert rounds == 20
    assert world.clock.now() == SECOND


@pytest.fixture
def alarms(world: World) -> Iterator[list[float]]:
    """The instants, in seconds, at which SIGALRM was handled."""
    handled: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(world.clock.now() / SECOND))
    yield handled
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_an_alarm_comes_at_its_instant_in_any_wait(
    world: World, alarms: list[float], wait: Callable[[], object]
) -> None:
    signal.alarm(3)
    with suppress(queue.Empty):
        wait()

    assert alarms == [3]
    assert world.clock.now() == 10 * SECOND


def test_a_timer_repeats_until_it_is_cancelled(world: World, alarms: list[float]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 1, 2)
    time.sleep(5.5)
    left = signal.getitimer(signal.ITIMER_REAL)
    before = signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(60)

    assert alarms == [1, 3, 5]
    assert [left, before, signal.getitimer(signal.ITIMER_REAL)] == [(1.5, 2), (1.5, 2), (0, 0)]


def test_an_alarm_tells_what_was_left_of_the_one_before(world: World, alarms: list[float]) -> None:
    signal.alarm(30)
    time.sleep(10)
    left = signal.alarm(5)
    time.sleep(60)

    assert (left, alarms) == (20, [15])


def test_an_alarm_ends_a_call_in_c_code(world: World, alarms: list[float]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 3600)
    signal.pause()

    assert alarms == [3600]


def test_an_alarm_ends_with_its_world() -> None:
    handled: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: handled.append(number))
    world = World(VirtualClock(), name="brief")
    world.enter()
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    world.leave()
    time.sleep(0.05)
    signal.signal(signal.SIGALRM, before)

    assert handled == []


def test_an_alarm_set_by_a_test_tool_is_the_machines(world: World) -> None:
    tool: dict[str, object] = {"__name__": "pytest_timeout", "signal": signal}
    exec("left = signal.getitimer(signal.ITIMER_REAL)", tool)
    signal.setitimer(signal.ITIMER_REAL, 3600)
    exec("now = signal.getitimer(signal.ITIMER_REAL)", tool)
    signal.setitimer(signal.ITIMER_REAL, 0)

    assert tool["now"] <= tool["left"]  # type: ignore[operator] # both are pairs of numbers
