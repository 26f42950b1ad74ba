"""Bystanders that rest cost nothing, and those that work are waited for.

Idle threads of all kinds stay idle while the clock moves a hundred times. The tests count looks, not seconds.
"""

from __future__ import annotations

import _thread
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.members import OURS, as_ours, bystanders
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.watch import activity, thread_state
from pytest_claude_latency.virtual_time.watch.activity import Activity

MOVES = 100


@pytest.fixture
def older() -> Iterator[Callable[[Callable[[], object], Callable[[], object]], None]]:
    """Starts a thread that is older than the world, and ends it after the test."""
    with ExitStack() as ends:

        def start(work: Callable[[], object], end: Callable[[], object]) -> None:
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            ends.callback(thread.join)
            ends.callback(end)

        yield start


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that were looked at."""
    seen: list[int] = []
    look = thread_state.look

    def noted(ident: int) -> thread_state.ThreadState:
        seen.append(ident)
        return look(ident)

    monkeypatch.setattr(thread_state, "look", noted)
    return seen


def until(condition: Callable[[], bool]) -> None:
    """Wait, for real, until it is so."""
    end = real_clock.monotonic() + 20
    while not condition():
        assert real_clock.monotonic() < end
        real_clock.sleep(0.001)


def connect(address: tuple[str, int]) -> None:
    socket.create_connection(address).close()


def move_often() -> World:
    """Let the clock of a new world move some hundred times."""
    world = World(VirtualClock(), name="moved")
    world.enter()
    for number in range(MOVES):
        world.sleep_until((number + 1) * SECOND)
    world.leave()
    return world


Older = Callable[[Callable[[], object], Callable[[], object]], None]


def test_a_thread_that_waits_for_an_event_is_never_looked_at(older: Older, looks: list[int]) -> None:
    event = threading.Event()
    ident: list[int] = []

    def work() -> None:
        ident.append(real_clock.get_ident())
        event.wait()

    older(work, event.set)
    until(lambda: bool(ident) and ident[0] in OUTSIDERS.resting)
    move_often()

    assert ident[0] not in looks


def test_a_thread_that_is_asleep_since_before_the_world_is_looked_at_once(older: Older, looks: list[int]) -> None:
    ident: list[int] = []
    awake: list[bool] = []

    def work() -> None:
        ident.append(real_clock.get_ident())
        time.sleep(1)
        awake.append(True)

    older(work, lambda: None)
    until(lambda: bool(ident) and ident[0] in OUTSIDERS.sleeping)
    move_often()

    assert awake or looks.count(ident[0]) <= 1


def test_a_worker_that_an_earlier_test_left_in_its_queue_rests(older: Older, looks: list[int]) -> None:
    jobs: queue.Queue[None] = queue.Queue()
    world = World(VirtualClock(), name="earlier")
    world.enter()
    thread = threading.Thread(target=jobs.get)
    thread.start()
    world.sleep_until(SECOND)
    world.leave()
    until(lambda: thread.ident in OUTSIDERS.resting)
    move_often()
    jobs.put(None)
    thread.join()

    assert thread.ident not in looks


@pytest.mark.skipif(activity._getrusage is None, reason="the kernel does not count switches of threads")
def test_a_quiet_thread_in_accept_is_looked_at_only_when_somebody_has_run(
    older: Older, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    since = Activity.since

    def counted(moment: Activity) -> bool:
        asked.append(since(moment))
        return asked[-1]

    monkeypatch.setattr(Activity, "since", counted)
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    ident: list[int] = []

    def accept() -> None:
        ident.append(real_clock.get_ident())
        listener.accept()[0].close()

    older(accept, lambda: socket.create_connection(address).close())
    until(lambda: bool(ident) and thread_state.look(ident[0]).waiting() is thread_state.Waiting.IDLE)
    looks.clear()
    world = move_often()
    listener.close()

    assert world.clock.now() == MOVES * SECOND
    # One look when the world begins, and at most two after each answer that somebody may have run.
    assert looks.count(ident[0]) <= 1 + 2 * (1 + sum(asked))


def test_who_has_run_since_a_moment_is_told(older: Older) -> None:
    if activity._getrusage is None:
        pytest.skip("the kernel does not count switches of threads")
    first, second = _thread.allocate_lock(), _thread.allocate_lock()
    first.acquire()
    second.acquire()
    ident: list[int] = []

    def work() -> None:
        ident.append(real_clock.get_ident())
        first.acquire()
        second.acquire()

    older(work, second.release)
    until(lambda: bool(ident) and thread_state.look(ident[0]).waiting() is thread_state.Waiting.IDLE)
    before = thread_state.look(ident[0])
    moment = Activity()
    moment.note()
    first.release()
    until(lambda: (now := thread_state.look(ident[0])).blocked and now.call != before.call)

    assert moment.since()


@pytest.fixture
def step(older: Older) -> Callable[[], None]:
    """Lets one of our own threads compute a little, and rest again."""
    go, rests = real_clock.allocate_lock(), real_clock.allocate_lock()
    go.acquire()
    rests.acquire()
    ended: list[bool] = []

    def work() -> None:
        with as_ours():
            while not ended:
                rests.release()
                go.acquire()
                sum(range(100_000))

    def end() -> None:
        ended.append(True)
        go.release()

    def one_step() -> None:
        go.release()
        rests.acquire()
        real_clock.sleep(0.005)

    older(work, end)
    rests.acquire()
    return one_step


def is_told_once(step: Callable[[], None], note: Callable[[Activity], None] = Activity.note) -> bool:
    """Return whether it is told, at least once, that nobody has run between a moment and the end of a step.

    Once is enough: threads of pytest and of other tests may run at any time.
    """
    moment = Activity()
    for _ in range(100):
        note(moment)
        step()
        if not moment.since():
            return True
    return False


@pytest.mark.skipif(activity._getrusage is None, reason="the kernel does not count switches of threads")
def test_what_our_own_threads_do_is_no_activity(step: Callable[[], None]) -> None:
    assert is_told_once(step)


@pytest.mark.skipif(activity._getrusage is None, reason="the kernel does not count switches of threads")
def test_what_our_own_threads_do_while_a_moment_is_noted_is_no_activity(
    step: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    done_by = thread_state.done_by

    def note_meanwhile(moment: Activity) -> None:
        steps = [step]

        def interrupted(native_id: int) -> tuple[int, int] | None:
            if steps:
                steps.pop()()
            return done_by(native_id)

        with monkeypatch.context() as patched:
            patched.setattr(thread_state, "done_by", interrupted)
            moment.note()

    assert is_told_once(step, note_meanwhile)


@pytest.mark.skipif(activity._getrusage is None, reason="the kernel does not count switches of threads")
def test_a_thread_of_ours_that_begins_later_counts_as_activity(step: Callable[[], None], older: Older) -> None:
    begun, end = real_clock.allocate_lock(), real_clock.allocate_lock()
    begun.acquire()
    end.acquire()

    def work() -> None:
        with as_ours():
            begun.release()
            end.acquire()

    moment = Activity()
    moment.note()
    older(work, end.release)
    begun.acquire()

    assert moment.since()


@pytest.mark.skipif(not thread_state.native_ids(), reason="threads cannot be listed")
def test_threads_of_ours_that_have_ended_are_forgotten_when_a_world_begins() -> None:
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(threading.get_native_id()))
    thread.start()
    thread.join()
    until(lambda: thread_state.has_ended(ended[0]))
    OURS.add(ended[0])
    move_often()

    assert ended[0] not in OURS


def test_what_a_member_hands_over_counts_as_activity() -> None:
    moment = Activity()
    moment.note()
    OUTSIDERS.hand_over()

    assert moment.since()


def test_a_moment_of_another_thread_says_nothing() -> None:
    moment = Activity()
    thread = threading.Thread(target=moment.note)
    thread.start()
    thread.join()

    assert moment.since()


def test_a_thread_that_begins_and_ends_is_listed_meanwhile(older: Older) -> None:
    begun, go = _thread.allocate_lock(), _thread.allocate_lock()
    begun.acquire()
    go.acquire()

    def work() -> None:
        begun.release()
        go.acquire()

    thread = threading.Thread(target=work)
    thread.start()
    begun.acquire()
    during = bystanders().awake
    go.release()
    thread.join()

    assert thread.ident in during
    assert thread.ident not in bystanders().awake


@pytest.mark.parametrize("acceptors", [0, 3])
def test_a_thread_that_polls_stops_no_world_beside_older_threads_and_a_child(older: Older, acceptors: int) -> None:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(acceptors)]
    for listener in listeners:
        older(listener.accept, partial(connect, listener.getsockname()))
    here, there = socket.socketpair()
    older(lambda: here.recv(1), lambda: there.send(b"x"))
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    polled = socket.create_server(("127.0.0.1", 0))
    polled.settimeout(0.001)
    stopped: list[bool] = []

    def poll() -> None:
        while not stopped:
            try:
                polled.accept()
            except TimeoutError:
                continue

    world = World(VirtualClock(), name="polling")
    world.enter()
    thread = threading.Thread(target=poll)
    thread.start()
    world.sleep_until(3600 * SECOND)
    woken = world.clock.now()
    stopped.append(True)  # its last round may end later
    thread.join()
    world.leave()
    child.communicate(b"\n")
    for file in [*listeners, polled]:
        file.close()

    assert woken == 3600 * SECOND


def test_virtual_hours_pass_beside_a_pair_and_a_child(world: World) -> None:
    here, there = socket.socketpair()
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    thread = threading.Thread(target=here.recv, args=(1,))
    thread.start()
    began = real_clock.monotonic()
    for hour in range(24):
        world.sleep_until((hour + 1) * 3600 * SECOND)
    took = real_clock.monotonic() - began
    there.send(b"x")
    thread.join()
    child.communicate(b"\n")
    here.close()
    there.close()

    assert took < 60
    assert world.clock.now() == 24 * 3600 * SECOND


def test_who_was_handed_something_through_a_pipe_is_waited_for(older: Older) -> None:
    out, into = os.pipe()
    done: list[bool] = []

    def work() -> None:
        os.read(out, 1)
        real_clock.sleep(0.02)
        done.append(True)

    older(work, lambda: None)
    world = World(VirtualClock(), name="handed over")
    world.enter()
    world.sleep_until(SECOND)
    os.write(into, b"x")
    event = threading.Event()
    while not done:
        event.wait(0.05)
    world.leave()
    os.close(out)
    os.close(into)

    assert world.clock.now() <= 2 * SECOND


@pytest.mark.parametrize("how", ["pipe", "socket"])
def test_what_a_member_writes_is_noted_and_what_an_outsider_writes_is_not(world: World, how: str) -> None:
    out, into = os.pipe()
    here, there = socket.socketpair()

    def write() -> int:
        before = OUTSIDERS.handed_over
        if how == "pipe":
            os.write(into, b"x")
        else:
            here.send(b"x")
        return OUTSIDERS.handed_over - before

    by_member = write()
    world.leave()
    by_outsider = write()
    for end in (out, into):
        os.close(end)
    here.close()
    there.close()

    assert by_member >= 1
    assert by_outsider == 0
