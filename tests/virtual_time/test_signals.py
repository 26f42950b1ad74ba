"""Signals that a thread of the program sends: the main thread is interrupted at the instant they are sent."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
import trio

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World

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
