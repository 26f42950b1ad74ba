"""Threads that are no members but that a member waits for: libraries' own, and older ones.

Their work takes the machine's time. A limit in virtual time does not end a wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import queue
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from types import FunctionType, ModuleType, SimpleNamespace

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import Deadlock, World
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.patches import thread_pools
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.members import is_background, mark_background
from pytest_claude_latency.virtual_time.watch import bystanders

Hand = Callable[[Callable[[], object]], None]


def by_simple_queue() -> tuple[Hand, Callable[[], Callable[[], object]]]:
    jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    return jobs.put, jobs.get


def by_pipe() -> tuple[Hand, Callable[[], Callable[[], object]]]:
    out, into = os.pipe()
    jobs: list[Callable[[], object]] = []

    def put(job: Callable[[], object]) -> None:
        jobs.append(job)
        os.write(into, b"x")

    def get() -> Callable[[], object]:
        os.read(out, 1)
        return jobs.pop(0)

    return put, get


@pytest.fixture(params=[by_simple_queue, by_pipe])
def hand(request: pytest.FixtureRequest) -> Iterator[Hand]:
    """Hands a job to a thread that is older than the world."""
    put, get = request.param()
    ended: list[bool] = []

    def work() -> None:
        while not ended:
            get()()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield put
    put(lambda: ended.append(True))
    thread.join()


@pytest.fixture
def later_world(hand: Hand, request: pytest.FixtureRequest) -> Iterator[World]:
    """A world that begins after the thread."""
    world = World(VirtualClock(), name=request.node.name)
    world.enter()
    yield world
    world.leave()


def compute() -> None:
    end = real_clock.monotonic() + 0.05
    while real_clock.monotonic() < end:
        pass


def test_an_older_thread_answers_before_a_limit(hand: Hand, later_world: World) -> None:
    done = threading.Event()
    hand(compute)
    hand(done.set)
    in_time = done.wait(5)

    assert in_time
    assert later_world.clock.now() == 0


def test_an_older_thread_answers_a_task_before_a_limit(hand: Hand, later_world: World) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        hand(lambda: loop.call_soon_threadsafe(answer.set_result, 1))
        return await asyncio.wait_for(answer, 5)

    assert asyncio.run(main()) == 1
    assert later_world.clock.now() == 0


def test_a_thread_that_only_polls_does_not_hold_the_clock() -> None:
    stopped: list[bool] = []

    def poll() -> None:
        while not stopped:
            real_clock.sleep(0.02)

    thread = threading.Thread(target=poll)
    thread.start()
    world = World(VirtualClock(), name="polled")
    world.enter()
    began = real_clock.monotonic()
    for _ in range(10):
        threading.Event().wait(60)
    took, passed = real_clock.monotonic() - began, world.clock.now()
    world.leave()
    stopped.append(True)
    thread.join()

    assert passed == 600 * SECOND
    assert took < 200  # it would take 600 seconds; a busy machine takes its time for each look


def test_stopping_a_queue_listener_is_no_deadlock(world: World) -> None:
    handled: list[str] = []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.15)  # for real: the thread is logging's own
            handled.append(record.msg)

    records: queue.Queue[logging.LogRecord] = queue.Queue()
    listener = logging.handlers.QueueListener(records, Slow())
    listener.start()
    for text in "abcd":
        records.put(logging.makeLogRecord({"msg": text}))
    listener.stop()

    assert handled == list("abcd")
    assert world.clock.now() == 0


def test_a_limit_does_not_end_a_wait_for_a_library(world: World) -> None:
    flushed = threading.Event()

    def export() -> None:
        compute()
        real_clock.sleep(0.1)
        flushed.set()

    thread = start_as_library(export)
    in_time = flushed.wait(30)
    thread.join(30)

    assert in_time
    assert world.clock.now() == 0


def test_a_limit_does_not_end_a_wait_for_the_last_step_of_a_library(world: World) -> None:
    class Leaving(threading.Thread):
        def _delete(self) -> None:  # the table of `threading` has it no more, but it has not ended
            super()._delete()  # type: ignore[misc] # not public
            real_clock.sleep(0.05)

    thread = Leaving(target=int)
    mark_background(thread)
    thread.start()
    thread.join(30)

    assert not thread.is_alive()
    assert world.clock.now() == 0


def test_a_limit_does_not_pass_while_a_library_starts_a_thread(world: World) -> None:
    class Late(threading.Thread):
        def _bootstrap(self) -> None:  # no table of Python's has it yet, and who starts it waits for its first step
            real_clock.sleep(0.05)
            super()._bootstrap()  # type: ignore[misc] # not public

    done = threading.Event()
    thread = start_as_library(lambda: Late(target=done.set).start())
    in_time = done.wait(30)
    thread.join()

    assert in_time
    assert world.clock.now() == 0


def test_a_limit_does_not_pass_before_a_pool_begins_what_a_library_gives_it(world: World) -> None:
    class Slow:
        def __init__(self) -> None:
            self._items: queue.SimpleQueue[object] = queue.SimpleQueue()
            self.put = self._items.put

        def get(self, block: bool = True) -> object:
            item = self._items.get(block)
            real_clock.sleep(0.05)  # the worker has been woken, but has not come to run the job
            return item

        def get_nowait(self) -> object:
            return self.get(block=False)

    done = threading.Event()

    def work() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool._work_queue = Slow()  # type: ignore[assignment] # what a worker takes its jobs from
            pool.submit(int).result()
            pool.submit(done.set).result()

    thread = start_as_library(work)
    in_time = done.wait(30)
    thread.join()

    assert in_time
    assert world.clock.now() == 0


def test_a_limit_does_not_pass_while_a_library_may_wait_for_the_interpreter(world: World) -> None:
    done = threading.Event()

    def work() -> None:
        lock = real_clock.allocate_lock()
        lock.acquire()
        for _ in range(4):  # to the kernel this looks the same: a lock with a limit of a few milliseconds
            lock.acquire(timeout=0.008)
        done.set()

    thread = threading.Thread(target=work)
    mark_background(thread)
    thread.start()
    in_time = done.wait(30)
    thread.join()

    assert in_time
    assert world.clock.now() == 0


def test_an_answer_does_not_come_before_what_a_library_was_woken_for(world: World) -> None:
    woken, done, told = threading.Event(), threading.Event(), []

    def work() -> None:
        woken.wait()
        real_clock.sleep(0.1)
        done.set()

    def ask() -> None:
        woken.set()
        done.wait()
        told.append(world.clock.now())

    thread = start_as_library(work)
    asking = threading.Thread(target=ask)
    asking.start()
    world.sleep_until(3600 * SECOND)
    asking.join()
    thread.join()

    assert told[0] <= SECOND


def test_a_library_that_was_woken_and_polls_from_then_on_does_not_make_a_replay_real(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bystanders, "_SERVICE", SECOND // 5)
    woken, stopped = threading.Event(), threading.Event()

    def work() -> None:
        woken.wait()
        while not stopped.is_set():
            real_clock.sleep(0.01)

    thread = start_as_library(work)
    waiting = threading.Thread(target=stopped.wait)
    waiting.start()
    woken.set()
    began = real_clock.monotonic()
    world.sleep_until(3600 * SECOND)
    took = real_clock.monotonic() - began
    stopped.set()
    waiting.join()
    thread.join()

    assert took < 10


def start_as_library(target: Callable[[], object]) -> threading.Thread:
    """Start a thread from code of a library whose threads never are members."""
    scope = {"__name__": "opentelemetry.sdk", "threading": threading, "target": target}
    exec("thread = threading.Thread(target=target); thread.start()", scope)
    thread = scope["thread"]
    assert isinstance(thread, threading.Thread)
    return thread


class InCCode:
    """Calls a function with a thread, as a wrapper written in C does: without a frame of its own."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __get__(self, thread: object, _: object) -> Callable[..., object]:
        return self._function if thread is None else partial(self._function, thread)


@pytest.mark.parametrize("by", [lambda function: function, InCCode], ids=["Python", "C"])
def test_a_library_that_wraps_the_start_of_threads_leaves_the_programs_to_it(
    world: World, monkeypatch: pytest.MonkeyPatch, by: Callable[[Callable[..., object]], object]
) -> None:
    scope = {"__name__": "sentry_sdk.integrations.threading", "start": threading.Thread.start}
    exec("def wrapper(thread): start(thread)", scope)
    wrapper = scope["wrapper"]
    assert isinstance(wrapper, FunctionType)
    monkeypatch.setattr(threading.Thread, "start", by(wrapper))
    thread = threading.Thread(target=time.sleep, args=(3,))
    thread.start()
    thread.join()
    with ThreadPool(1) as pool:
        pool.apply(time.sleep, (2,))
    of_library = start_as_library(int)
    of_library.join()

    assert world.clock.now() == 5 * SECOND
    assert is_background(of_library)


def test_a_server_of_a_library_that_looks_now_and_then_whether_it_should_end_is_no_deadlock(world: World) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.4,))
        mark_background(thread)
        thread.start()
        server.shutdown()
        thread.join()

    assert world.clock.now() == 0


def test_a_deadlock_beside_an_idle_library_is_told(world: World) -> None:
    stop = threading.Event()
    thread = start_as_library(stop.wait)
    with pytest.raises(Deadlock):
        threading.Event().wait()
    stop.set()
    world.leave()
    thread.join()


def test_workers_of_a_multiprocessing_thread_pool_live_in_the_world(world: World) -> None:
    def work(seconds: float) -> float:
        time.sleep(seconds)
        return world.clock.now() / SECOND

    with ThreadPool(2) as pool:
        ends = pool.map(work, [3, 1, 1, 4], chunksize=1)

    assert ends == [3, 1, 2, 6]


def test_a_thread_pool_that_is_given_sleep_itself_sleeps_in_the_world(world: World) -> None:
    with ThreadPool(2) as pool:
        pool.map(time.sleep, [50, 50, 50], chunksize=1)
        pool.apply(time.sleep, (5,))
        pool.starmap(time.sleep, [(5,)])

    assert world.clock.now() == 110 * SECOND


@pytest.mark.parametrize("busy_before", [False, True])
def test_workers_of_an_older_multiprocessing_thread_pool_live_in_the_world(
    busy_before: bool, request: pytest.FixtureRequest
) -> None:
    world = World(VirtualClock(), name=request.node.name)

    def work(seconds: float) -> float:
        time.sleep(seconds)
        return world.clock.now() / SECOND

    with ThreadPool(2) as pool:
        if busy_before:
            pool.map(len, ["a", "b", "c"], chunksize=1)
        world.enter()
        try:
            ends = [pool.map(work, [3, 1, 1, 4], chunksize=1), pool.map(work, [1, 1], chunksize=1)]
        finally:
            world.leave()

    assert ends == [[3, 1, 2, 6], [7, 7]]


def test_an_older_thread_that_a_thread_of_a_library_notifies_for_the_test_lives_in_the_world(
    request: pytest.FixtureRequest,
) -> None:
    world, asked, told, done = World(VirtualClock(), name=request.node.name), *(threading.Event() for _ in range(3))

    def hand_on() -> None:
        asked.wait()
        told.set()

    def work() -> None:
        told.wait()
        time.sleep(5)
        done.set()

    threads = [threading.Thread(target=hand_on, daemon=True), threading.Thread(target=work, daemon=True)]
    mark_background(threads[0])
    for thread in threads:
        thread.start()
    world.enter()
    try:
        asked.set()
        done.wait()
        ended = world.clock.now()
    finally:
        world.leave()

    assert ended == 5 * SECOND


def test_calls_in_threads_of_joblib_live_in_the_world(world: World) -> None:
    joblib = pytest.importorskip("joblib")
    spans: list[tuple[int, int]] = []

    def work() -> None:
        began = world.clock.now()
        time.sleep(0.1)
        spans.append((began, world.clock.now()))

    joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(work)() for _ in range(3))

    assert [end - began for began, end in spans] == [SECOND // 10] * 3
    assert spans[2][0] >= min(spans[0][1], spans[1][1])
    # joblib looks every 10 ms whether a thread of the pool, which is a library's and real, has handed a job on, or has
    # noted the last result. On a busy machine it looks several times.
    assert SECOND // 5 <= world.clock.now() < SECOND


def test_the_initializer_of_a_pool_runs_in_the_world(world: World) -> None:
    born = threading.local()

    def initialize(seconds: float) -> None:
        time.sleep(seconds)
        born.at = time.monotonic_ns()

    def work() -> int:
        age: int = time.monotonic_ns() - born.at
        time.sleep(1)
        return age

    with ThreadPoolExecutor(2, "worker", initialize, (2,)) as pool:
        ages = [future.result() for future in [pool.submit(work) for _ in range(4)]]

    assert ages == [0, 0, SECOND, SECOND]
    assert world.clock.now() == 4 * SECOND


def test_a_pool_of_interpreters_gets_what_it_hands_to_them_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class InterpreterPoolExecutor(ThreadPoolExecutor):
        """As Python 3.14 has one: it pickles the initializer, and each job."""

    module = ModuleType("concurrent.futures.interpreter")
    monkeypatch.setattr(module, "InterpreterPoolExecutor", InterpreterPoolExecutor, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    wrapped: list[object] = []
    monkeypatch.setattr(thread_pools, "_Initializer", wrapped.append)

    InterpreterPoolExecutor(1, initializer=print)

    assert wrapped == []


@pytest.mark.parametrize("is_of_interpreters", [False, True])
def test_a_job_of_python_3_14_says_when_it_returns_unless_it_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch, is_of_interpreters: bool
) -> None:
    job = thread_pools.Job(thread_pools.PoolState(set(), is_of_interpreters=is_of_interpreters), None)
    monkeypatch.setitem(thread_pools._SUBMITTING, threading.get_ident(), job)
    item = SimpleNamespace()

    thread_pools._new_item(lambda item: item.__dict__.update(task=(len, ("abc",), {})), item)

    function, arguments, named = item.task
    assert (function is len) is is_of_interpreters
    assert function(*arguments, **named) == 3
    assert job.returned is not is_of_interpreters


@pytest.fixture
def older_worker() -> Iterator[Hand]:
    """Hands a job to a thread that waits in a `SimpleQueue` since before the world."""
    jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    ended: list[bool] = []

    def work() -> None:
        while not ended:
            jobs.get()()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield jobs.put
    jobs.put(lambda: ended.append(True))
    thread.join()


def test_an_older_thread_lives_in_the_world_while_it_does_what_a_simple_queue_brought(older_worker: Hand) -> None:
    world = World(VirtualClock(), name="handed")
    world.enter()
    ends: list[int] = []
    answers: queue.SimpleQueue[float] = queue.SimpleQueue()

    def job() -> None:
        time.sleep(3600)
        ends.append(world.clock.now())
        answers.put(time.monotonic())

    older_worker(job)
    older_worker(job)
    before = time.monotonic()
    told = [answers.get(timeout=3600.5) - before, answers.get() - before]
    world.leave()

    assert ends == [3600 * SECOND, 7200 * SECOND]
    assert told == pytest.approx([3600, 7200])


def test_an_older_thread_that_comes_late_to_a_simple_queue_lives_in_the_world_too() -> None:
    jobs: queue.SimpleQueue[float] = queue.SimpleQueue()
    begin = real_clock.allocate_lock()
    begin.acquire()

    def work() -> None:
        begin.acquire()
        time.sleep(jobs.get())

    thread = threading.Thread(target=work)
    thread.start()
    world = World(VirtualClock(), name="late")
    world.enter()
    jobs.put(3600)
    begin.release()
    thread.join()
    took = world.clock.now()
    world.leave()

    assert took == 3600 * SECOND


def test_what_an_older_thread_waits_for_after_the_work_is_real_again(older_worker: Hand) -> None:
    world = World(VirtualClock(), name="handed")
    world.enter()
    done = threading.Event()
    older_worker(done.set)
    done.wait()
    world.leave()
    slept: list[float] = []
    began = real_clock.monotonic()
    ended = threading.Event()

    def nap() -> None:
        time.sleep(0.05)
        slept.append(real_clock.monotonic() - began)
        ended.set()

    older_worker(nap)
    ended.wait(20)

    assert slept[0] >= 0.05


def test_a_simple_queue_of_outsiders_keeps_its_limits(world: World) -> None:
    world.leave()
    items: queue.SimpleQueue[int] = queue.SimpleQueue()
    with pytest.raises(queue.Empty):
        items.get(timeout=0.01)
    with pytest.raises(ValueError, match="non-negative"):
        items.get(timeout=-1)
    thread = threading.Timer(0.01, items.put, [1])
    thread.start()

    assert items.get(timeout=20) == 1
    thread.join()
