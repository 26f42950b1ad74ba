"""Programs that wait in every way Python offers, each with the instant at which it must end.

A program gets `Waits`: a call that takes so many seconds, sync or async, and the
clock. Some programs also get a pool, a loop or a worker that is older than the world.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_claude_latency import virtual_time
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.clock import VirtualClock

virtual_time.install()

Body: TypeAlias = Callable[..., None]


class Waits:
    """What programs do in a world: make calls that take time, and read the clock."""

    def __init__(self, world: virtual_time.World) -> None:
        self.world = world

    def call(self, seconds: float) -> float:
        """A sync call that takes `seconds`."""
        self.world.sleep_until(self.world.clock.now() + round(seconds * SECOND))
        return seconds

    async def acall(self, seconds: float) -> float:
        """An async call that takes `seconds`."""
        await self.world.async_sleep_until(self.world.clock.now() + round(seconds * SECOND))
        return seconds

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return self.world.clock.now() / SECOND


@dataclass(frozen=True)
class Program:
    """A program and the instant, in seconds, at which it ends; `older` makes what exists before its world begins."""

    body: Body
    ends: float
    older: Callable[[], AbstractContextManager[object]] | None = None

    @property
    def name(self) -> str:
        """The name of the program's function."""
        return self.body.__name__

    def run(self) -> float:
        """Run the program in a world of its own; return the instant, in seconds, at which it ended."""
        if self.older is None:
            return self._run()
        with self.older() as older:
            return self._run(older)

    def _run(self, *older: object) -> float:
        world = virtual_time.World(VirtualClock(), name=self.name)
        world.enter()
        try:
            self.body(Waits(world), *older)
            return world.clock.now() / SECOND
        finally:
            world.leave()


PROGRAMS: list[Program] = []


def ends_at(
    seconds: float, older: Callable[[], AbstractContextManager[object]] | None = None
) -> Callable[[Body], Body]:
    """Add the decorated program to `PROGRAMS`."""

    def register(body: Body) -> Body:
        PROGRAMS.append(Program(body, seconds, older))
        return body

    return register


def _run_all(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _in_threads(target: Callable[..., object], arguments: list[Any]) -> None:
    _run_all(*[threading.Thread(target=target, args=(argument,)) for argument in arguments])


@ends_at(3.5)
def two_calls_one_after_the_other(waits: Waits) -> None:
    waits.call(2)
    waits.call(1.5)


@ends_at(5.0)
def gathered_calls(waits: Waits) -> None:
    async def main() -> None:
        await asyncio.gather(waits.acall(5), waits.acall(1), waits.acall(3.5))

    asyncio.run(main())


@ends_at(5.0)
def a_semaphore_of_two(waits: Waits) -> None:
    async def main() -> None:
        two = asyncio.Semaphore(2)

        async def call(seconds: float) -> None:
            async with two:
                await waits.acall(seconds)

        await asyncio.gather(*map(call, (5, 1, 1, 1)))

    asyncio.run(main())


@ends_at(1.0)
def the_first_of_two_the_loser_cancelled(waits: Waits) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(waits.acall(seconds)) for seconds in (5, 1)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for loser in pending:
            loser.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        assert [task.result() for task in done] == [1]

    asyncio.run(main())


@ends_at(3.0)
def a_timeout_then_a_fallback(waits: Waits) -> None:
    async def main() -> None:
        try:
            async with asyncio.timeout(2):
                await waits.acall(5)
        except TimeoutError:
            assert waits.now == 2
        await asyncio.wait_for(waits.acall(1), timeout=2)

    asyncio.run(main())


@ends_at(3.2)
def a_stream_consumed_slowly(waits: Waits) -> None:
    async def main() -> None:
        for arrival in (0.2, 0.4, 2.0):
            await waits.world.async_sleep_until(round(arrival * SECOND))
            await asyncio.sleep(0.5)
            time.sleep(0.5)

    asyncio.run(main())


@ends_at(4.0)
def a_sync_call_that_blocks_the_loop(waits: Waits) -> None:
    async def main() -> None:
        task = asyncio.create_task(waits.acall(1))
        await asyncio.sleep(0)
        waits.call(3)
        await task
        assert waits.now == 3
        await waits.acall(1)

    asyncio.run(main())


@ends_at(5.0)
def calls_in_threads_of_the_loop(waits: Waits) -> None:
    async def main() -> None:
        await asyncio.gather(*[asyncio.to_thread(waits.call, seconds) for seconds in (5, 1, 3)])

    asyncio.run(main())


@ends_at(5.0)
def a_pool_of_two(waits: Waits) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(waits.call, [5, 1, 1, 1])) == [5, 1, 1, 1]


@ends_at(3.0)
def threads_joined(waits: Waits) -> None:
    threads = [threading.Thread(target=waits.call, args=(seconds,)) for seconds in (1, 3, 2)]
    _run_all(*threads)
    assert not any(thread.is_alive() for thread in threads)


@ends_at(2.5)
def a_join_that_times_out_first(waits: Waits) -> None:
    thread = threading.Thread(target=waits.call, args=(2.5,))
    thread.start()
    thread.join(1)
    assert thread.is_alive()
    assert waits.now == 1
    thread.join()


@ends_at(4.0)
def an_event_missed_then_met(waits: Waits) -> None:
    event = threading.Event()

    def set_it() -> None:
        waits.call(3)
        event.set()

    thread = threading.Thread(target=set_it)
    thread.start()
    assert not event.wait(2)
    assert waits.now == 2
    assert event.wait(5)
    assert waits.now == 3
    waits.call(1)
    thread.join()


@ends_at(6.0)
def workers_on_a_queue(waits: Waits) -> None:
    _work_through(waits, queue.Queue)


def _work_through(waits: Waits, make_queue: Callable[[], Any], first_look: float = 60) -> None:
    """Let two workers take calls from a queue; after `first_look` seconds without a result, the program looks again."""
    tasks, results = make_queue(), make_queue()

    def work() -> None:
        while (task := tasks.get()) is not None:
            waits.call(task)
            results.put((task, waits.now))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for task in (5, 1, 3, 2, None, None):
        tasks.put(task)
    ended = []
    try:
        ended.append(results.get(timeout=first_look))
    except queue.Empty:
        assert waits.now == first_look
    while len(ended) < 4:
        ended.append(results.get(timeout=60))
    assert ended == [(1, 1), (3, 4), (5, 5), (2, 6)]
    for thread in threads:
        thread.join()


@ends_at(3.0)
def a_queue_that_is_full(waits: Waits) -> None:
    tasks: queue.Queue[int] = queue.Queue(maxsize=1)

    def consume() -> None:
        for _ in range(3):
            waits.call(tasks.get())
            tasks.task_done()

    thread = threading.Thread(target=consume)
    thread.start()
    for _ in range(3):
        tasks.put(1, timeout=10)
    assert waits.now == 1
    tasks.join()
    thread.join()


@ends_at(4.5)
def plain_locks(waits: Waits) -> None:
    for lock in (threading.Lock(), threading.RLock()):
        began = waits.now
        ends: list[float] = []

        def hold(lock: Any = lock, began: float = began, ends: list[float] = ends) -> None:
            with lock:
                waits.call(0.75)
                ends.append(waits.now - began)

        threads = [threading.Thread(target=hold) for _ in range(3)]
        for thread in threads:
            thread.start()
        waits.call(0.25)
        assert not lock.acquire(timeout=0.25)
        assert waits.now - began == 0.5
        assert lock.acquire(timeout=60)
        lock.release()
        for thread in threads:
            thread.join()
        assert ends == [0.75, 1.5, 2.25]


@ends_at(6.0)
def workers_on_a_simple_queue(waits: Waits) -> None:
    _work_through(waits, queue.SimpleQueue, first_look=0.5)


@ends_at(2.0)
def a_barrier(waits: Waits) -> None:
    barrier, met = threading.Barrier(3), []

    def meet(seconds: float) -> None:
        waits.call(seconds)
        barrier.wait()
        met.append(waits.now)

    _in_threads(meet, [0.5, 2, 1])
    assert met == [2, 2, 2]


@ends_at(5.0)
def futures_as_they_complete(waits: Waits) -> None:
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(waits.call, seconds) for seconds in (5, 1, 3)]
        assert [(future.result(), waits.now) for future in as_completed(futures)] == [(1, 1), (3, 3), (5, 5)]


@ends_at(5.0)
def a_result_waited_for_too_short(waits: Waits) -> None:
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(waits.call, seconds) for seconds in (5, 1, 3)]
        done, _ = concurrent.futures.wait(futures, return_when=FIRST_COMPLETED)
        assert (len(done), waits.now) == (1, 1)
        try:
            futures[0].result(timeout=2)
        except TimeoutError:
            assert waits.now == 3
        else:
            raise AssertionError("the result came too early")


@ends_at(1.0)
def queued_futures_cancelled(waits: Waits) -> None:
    pool = ThreadPoolExecutor(1)
    futures = [pool.submit(waits.call, 1) for _ in range(4)]
    waits.call(0.5)
    pool.shutdown(cancel_futures=True)
    assert [future.cancelled() for future in futures] == [False, True, True, True]


@ends_at(2.0)
def a_loop_in_a_thread(waits: Waits) -> None:
    async def main(_: object) -> None:
        await asyncio.gather(waits.acall(1), waits.acall(2))

    _in_threads(lambda _: asyncio.run(main(_)), [None])


@ends_at(7.0)
def a_thread_polled_for_its_end(waits: Waits) -> None:
    thread = threading.Thread(target=waits.call, args=(6.95,))
    thread.start()
    while thread.is_alive():
        time.sleep(0.1)


@ends_at(2.0)
def a_timer(waits: Waits) -> None:
    event = threading.Event()
    timer = threading.Timer(2.0, event.set)
    timer.start()
    event.wait()
    timer.join()
    assert waits.now == 2


@ends_at(3.0)
def a_semaphore_among_threads(waits: Waits) -> None:
    semaphore = threading.Semaphore(1)

    def work(_: object) -> None:
        with semaphore:
            waits.call(1)

    _in_threads(work, [None, None, None])


@ends_at(4.0)
def a_condition_waited_for(waits: Waits) -> None:
    condition = threading.Condition()
    box: list[int] = []

    def wait() -> None:
        with condition:
            assert condition.wait_for(lambda: len(box) > 1, timeout=10)
        waits.call(2)

    thread = threading.Thread(target=wait)
    thread.start()
    for _ in range(3):
        waits.call(1)
        with condition:
            box.append(1)
            condition.notify_all()
    thread.join()


@ends_at(2.0)
def loops_in_two_threads_that_call_each_other(waits: Waits) -> None:
    ready: queue.Queue[asyncio.AbstractEventLoop] = queue.Queue()

    def serve() -> None:
        loop = asyncio.new_event_loop()
        loop.call_soon(ready.put, loop)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    there = ready.get()

    async def main() -> None:
        for _ in range(2):
            assert await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(waits.acall(1), there)) == 1

    asyncio.run(main())
    there.call_soon_threadsafe(there.stop)
    thread.join()


class OldPool:
    """A pool whose threads exist already."""

    def __enter__(self) -> ThreadPoolExecutor:
        self._pool = ThreadPoolExecutor(2)
        list(self._pool.map(abs, [1, 2]))
        return self._pool

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


class OldLoop:
    """A loop that runs in a thread already."""

    def __enter__(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.new_event_loop()
        self._loop.call_later(3600, print)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self._loop

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


Errand: TypeAlias = "tuple[Callable[[float], float], float, Future[float]] | None"


class OldWorker:
    """A thread that waits for errands already."""

    def __enter__(self) -> queue.Queue[Errand]:
        self._errands: queue.Queue[Errand] = queue.Queue()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        self._errands.put((abs, 1, Future()))  # so that it has waited there before
        return self._errands

    def __exit__(self, *_: object) -> None:
        self._errands.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (errand := self._errands.get()) is not None:
            call, seconds, future = errand
            future.set_result(call(seconds))


@ends_at(5.0, older=OldPool)
def an_old_pool(waits: Waits, pool: ThreadPoolExecutor) -> None:
    assert list(pool.map(waits.call, [5, 1, 1, 1])) == [5, 1, 1, 1]


@ends_at(5.0, older=OldPool)
def an_old_default_executor(waits: Waits, pool: ThreadPoolExecutor) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(pool, waits.call, seconds) for seconds in (5, 1, 1, 1)])

    asyncio.run(main())


@ends_at(5.0, older=OldLoop)
def an_old_loop(waits: Waits, loop: asyncio.AbstractEventLoop) -> None:
    futures = [asyncio.run_coroutine_threadsafe(waits.acall(seconds), loop) for seconds in (1, 3, 5)]
    assert futures[0].result() == 1
    assert waits.now == 1
    try:
        futures[1].result(timeout=1)
    except TimeoutError:
        assert waits.now == 2
    assert futures[2].result() == 5
    assert futures[1].done()


@ends_at(3.0, older=OldWorker)
def an_old_worker(waits: Waits, errands: queue.Queue[Errand]) -> None:
    futures: list[Future[float]] = [Future(), Future()]
    for future, seconds in zip(futures, (1, 2), strict=True):
        errands.put((waits.call, seconds, future))
    assert futures[0].result() == 1
    assert waits.now == 1
    assert futures[1].result(timeout=5) == 2
