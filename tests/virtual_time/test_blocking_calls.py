"""Locks and simple queues that block in C code without the plugin."""

from __future__ import annotations

import copy
import logging
import multiprocessing.connection
import os
import pickle
import queue
import select
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.patches.blocking.plain_locks import Lock, RLock
from pytest_claude_latency.virtual_time.scheduling import real_clock

LOCKS: list[Callable[[], Any]] = [threading.Lock, threading.RLock]


def take(lock: Any, **limits: Any) -> bool:
    """Return whether another thread gets the lock."""
    got: list[bool] = []
    thread = threading.Thread(target=lambda: got.append(lock.acquire(**limits)))
    thread.start()
    thread.join()
    return got[0]


def get(pieces: queue.SimpleQueue[int], seconds: float) -> None:
    with pytest.raises(queue.Empty):
        pieces.get(timeout=seconds)


@pytest.mark.parametrize("make", LOCKS)
def test_a_loop_of_lock_limits_ends_at_its_deadline(world: World, make: Callable[[], Any]) -> None:
    lock, rounds = make(), 0
    lock.acquire()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert not take(lock, timeout=0.05)
        rounds += 1

    assert rounds == 20
    assert world.clock.now() == SECOND


@pytest.mark.parametrize("make", LOCKS)
def test_the_limit_of_a_lock_passes_at_its_instant_beside_a_thread_that_sleeps(
    world: World, make: Callable[[], Any]
) -> None:
    lock, ends = make(), []
    lock.acquire()

    def wait() -> None:
        assert not lock.acquire(timeout=0.5)
        ends.append(world.clock.now())

    thread = threading.Thread(target=wait)
    thread.start()
    pause = 0.01
    while not ends:
        time.sleep(pause)
        pause = min(1.0, 2 * pause)
    thread.join()

    assert ends == [SECOND // 2]


def test_a_loop_of_queue_limits_ends_at_its_deadline(world: World) -> None:
    pieces: queue.SimpleQueue[int] = queue.SimpleQueue()
    rounds, deadline = 0, time.monotonic() + 1
    while time.monotonic() < deadline:
        get(pieces, 0.05)
        rounds += 1

    assert rounds == 20
    assert world.clock.now() == SECOND


@pytest.mark.parametrize("attempt", [lambda lock: lock.acquire(blocking=False), lambda lock: lock.acquire(timeout=0)])
def test_time_passes_for_a_program_that_tries_again_and_again(world: World, attempt: Callable[[Any], bool]) -> None:
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            time.sleep(0.001)

    thread = threading.Thread(target=hold)
    thread.start()
    time.sleep(0.0001)
    while not attempt(lock):
        pass
    thread.join()

    assert world.clock.now() >= SECOND // 1000


def test_a_lock_that_an_outsider_holds_is_waited_for_in_reality(world: World) -> None:
    lock = threading.Lock()
    held, free = real_clock.allocate_lock(), real_clock.allocate_lock()
    held.acquire()
    free.acquire()

    def hold() -> None:
        lock.acquire()
        held.release()
        free.acquire()
        lock.release()

    real_clock.start_new_thread(hold, ())
    held.acquire()
    assert not lock.acquire(timeout=0.02)
    missed = world.clock.now()
    free.release()

    assert lock.acquire(timeout=60)
    assert missed == SECOND // 50


def test_a_lock_is_passed_on_in_turn(world: World) -> None:
    lock, order = threading.Lock(), []

    def greedy() -> None:
        for _ in range(3):
            with lock:
                time.sleep(1)
                order.append("greedy")

    def modest() -> None:
        with lock:
            order.append("modest")

    threads = [threading.Thread(target=greedy), threading.Thread(target=modest)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert order == ["greedy", "modest", "greedy", "greedy"]


@pytest.mark.parametrize("make", LOCKS)
def test_a_lock_held_when_the_world_ends_is_waited_for_in_reality(world: World, make: Callable[[], Any]) -> None:
    lock = make()
    lock.acquire()
    got: list[bool] = []
    thread = threading.Thread(target=lambda: got.append(lock.acquire(timeout=60)))
    thread.start()
    time.sleep(1)
    world.leave()
    lock.release()
    thread.join()

    assert got == [True]


def test_a_queue_waited_for_when_the_world_ends_is_waited_for_in_reality(world: World) -> None:
    pieces: queue.SimpleQueue[int] = queue.SimpleQueue()
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(pieces.get(timeout=60)))
    thread.start()
    time.sleep(1)
    world.leave()
    pieces.put(7)
    thread.join()

    assert got == [7]


def test_many_threads_fill_a_simple_queue(world: World) -> None:
    pieces: queue.SimpleQueue[int] = queue.SimpleQueue()

    def work() -> None:
        for piece in range(30):
            time.sleep(0.01)
            pieces.put(piece)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    got = [pieces.get() for _ in range(150)]
    for thread in threads:
        thread.join()

    assert sorted(got) == sorted(list(range(30)) * 5)
    assert world.clock.now() == 3 * SECOND // 10


@pytest.mark.parametrize("make", LOCKS)
def test_a_lock_behaves_as_the_machines_does(make: Callable[[], Any]) -> None:
    lock = make()

    assert lock.acquire()
    assert "locked" in repr(lock)
    assert not take(lock, blocking=False)
    lock.release()
    with lock:
        assert not take(lock, timeout=0)
    assert take(lock)
    with pytest.raises(RuntimeError):
        make().release()
    for wrong in ({"blocking": False, "timeout": 1}, {"timeout": -2}, {"timeout": "1"}, {"timeout": 1e100}):
        with pytest.raises((ValueError, TypeError, OverflowError)):
            make().acquire(**wrong)
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle"):
            copied(lock)


def test_the_lock_of_a_program_is_no_base_and_is_named_as_the_machines_is() -> None:
    with pytest.raises(TypeError):
        type("Sub", (threading.Lock,), {})

    assert {threading.Lock.__module__, threading.RLock.__module__} == {"threading"}


def test_only_locks_of_programs_are_virtual() -> None:
    assert isinstance(threading.Lock(), Lock)
    assert isinstance(threading.RLock(), RLock)
    assert isinstance(real_clock.allocate_lock(), threading.Lock)
    assert isinstance(logging.Handler().lock, real_clock.RLock)
    assert type(queue.Queue().mutex) is real_clock.LockType


def select_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        files = [one] if one.fileno() < 1024 else []  # `select` takes no larger descriptors
        assert select.select(files, [], [], 0.05) == ([], [], [])


def select_by_selector() -> None:
    one, other = socket.socketpair()
    with one, other, selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ)
        assert selector.select(0.05) == []


def receive_nothing() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(0.05)
        with pytest.raises(TimeoutError):
            here.recv(1)


def accept_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()


def wait_for_a_child() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["sleep", "60"], timeout=0.05, check=False)


def read_nothing() -> None:
    here, there = socket.socketpair()
    with here, there, here.makefile("rb") as file:
        here.settimeout(0.05)
        with pytest.raises(TimeoutError):
            file.read(1)


def poll_nothing() -> None:
    here, there = socket.socketpair()
    with here, there:
        poll = select.poll()
        poll.register(here, select.POLLIN)
        assert poll.poll(50) == []


def epoll_nothing() -> None:
    here, there = socket.socketpair()
    with here, there, select.epoll() as epoll:
        epoll.register(here, select.EPOLLIN)
        assert epoll.poll(0.05) == []


def poll_a_pipe_of_processes() -> None:
    here, there = multiprocessing.Pipe()
    with here, there:
        assert not here.poll(0.05)
        assert multiprocessing.connection.wait([here], 0.05) == []


def get_from_a_queue_of_processes() -> None:
    with pytest.raises(queue.Empty):
        multiprocessing.Queue().get(timeout=0.05)


def wait_for_an_event_of_processes() -> None:
    assert not multiprocessing.Event().wait(0.05)


def wait_for_a_signal() -> None:
    assert signal.sigtimedwait([signal.SIGUSR2], 0.05) is None


LIMITS: list[Callable[[], None]] = [
    select_nothing,
    select_by_selector,
    receive_nothing,
    read_nothing,
    accept_nobody,
    wait_for_a_child,
    wait_for_a_signal,
    poll_nothing,
    epoll_nothing,
    get_from_a_queue_of_processes,
    wait_for_an_event_of_processes,
]


@pytest.mark.parametrize("wait", LIMITS)
def test_the_clock_has_gained_a_real_limit_that_passed(world: World, wait: Callable[[], None]) -> None:
    deadline, rounds = time.monotonic() + 0.2, 0
    while time.monotonic() < deadline:
        wait()
        rounds += 1

    assert rounds == 4
    assert world.clock.now() == SECOND // 5


def test_select_says_itself_what_is_wrong_with_its_arguments(world: World) -> None:
    no_file: Any = object()

    with pytest.raises(TypeError, match="fileno"):
        select.select([no_file], [], [], 1)


def test_a_limit_of_two_pipes_of_processes_is_gained_twice(world: World) -> None:
    poll_a_pipe_of_processes()

    assert world.clock.now() == SECOND // 10


@pytest.mark.parametrize("wait", [select_nothing, select_by_selector, receive_nothing, read_nothing, accept_nobody])
def test_a_limit_of_a_file_of_this_process_is_virtual(world: World, wait: Callable[[], None]) -> None:
    ends: list[int] = []

    def work() -> None:
        wait()
        ends.append(world.clock.now())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(3600)
    for thread in threads:
        thread.join()

    assert ends == [SECOND // 20] * 3


def test_a_thread_that_was_told_something_by_a_file_goes_on_at_that_instant(world: World) -> None:
    out, into = os.pipe()
    heard: list[tuple[bytes, int]] = []

    def listen() -> None:
        heard.append((os.read(out, 1), world.clock.now()))

    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(60)
    os.write(into, b"x")
    thread.join()
    os.close(out)
    os.close(into)

    assert heard == [(b"x", 60 * SECOND)]


def test_a_real_limit_does_not_move_the_clock_past_what_is_due_before(world: World) -> None:
    ends: list[int] = []
    here, there = socket.socketpair()

    def answer() -> None:
        time.sleep(0.01)
        ends.append(world.clock.now())
        there.send(b"!")

    thread = threading.Thread(target=answer)
    thread.start()
    here.settimeout(60)

    assert here.recv(1) == b"!"
    assert world.clock.now() == SECOND // 100
    thread.join()
    here.close()
    there.close()
