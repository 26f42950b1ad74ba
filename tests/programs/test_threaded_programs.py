"""Programs with threads: sync calls overlap as threads do, exactly."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from concurrent.futures import TimeoutError as FutureTimeout

import pytest

from pytest_claude_latency import play
from tests.support.program_answers import recording, unstreamed
from tests.support.program_claude import aask, ask

MICROSECOND = 1e-6


def _since(began: float) -> float:
    return round(time.monotonic() - began, 6)


def test_sync_calls_in_to_thread_overlap() -> None:
    async def program() -> None:
        await asyncio.gather(asyncio.to_thread(ask), asyncio.to_thread(ask), asyncio.to_thread(ask))

    with play(recording(unstreamed(5), unstreamed(1), unstreamed(3))) as measured:
        asyncio.run(program())

    assert measured.elapsed == 5.0


def test_a_pool_of_two_threads_runs_two_at_a_time() -> None:
    with (
        play(recording(*map(unstreamed, (5, 1, 1, 1)))) as measured,
        ThreadPoolExecutor(2) as pool,
    ):
        list(pool.map(lambda _: ask(), range(4)))

    assert measured.elapsed == 5.0


def test_joined_threads_take_as_long_as_the_slowest() -> None:
    with play(recording(unstreamed(2), unstreamed(3))) as measured:
        began = time.monotonic()
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = _since(began)

    assert took == 3.0
    assert measured.elapsed == 3.0


def test_a_join_with_a_time_out_gives_up_in_time() -> None:
    with play(recording(unstreamed(3))):
        began = time.monotonic()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(timeout=2)
        gave_up, alive = _since(began), thread.is_alive()
        thread.join()

    assert gave_up == 2.0
    assert alive


def test_an_event_wakes_its_waiter_when_it_is_set() -> None:
    done = threading.Event()
    woken: list[float] = []

    def waiter(began: float) -> None:
        done.wait()
        woken.append(_since(began))

    with play(recording(unstreamed(2))):
        began = time.monotonic()
        thread = threading.Thread(target=waiter, args=(began,))
        thread.start()
        ask()
        done.set()
        thread.join()

    assert woken == [2.0]


def test_an_event_that_is_not_set_times_out() -> None:
    never = threading.Event()

    with play(recording(unstreamed(1))):
        began = time.monotonic()
        ask()
        was_set = never.wait(timeout=1.5)
        took = _since(began)

    assert not was_set
    assert took == 2.5


def test_a_queue_hands_an_answer_over_when_it_comes() -> None:
    answers: queue.Queue[str] = queue.Queue()

    with play(recording(unstreamed(2))):
        began = time.monotonic()
        thread = threading.Thread(target=lambda: answers.put(ask()))
        thread.start()
        with pytest.raises(queue.Empty):
            answers.get(timeout=0.5)
        gave_up = _since(began)
        answer = answers.get()
        took = _since(began)
        thread.join()

    assert (gave_up, answer, took) == (0.5, "ok", 2.0)


def test_a_condition_wakes_its_waiters() -> None:
    condition = threading.Condition()
    ready: list[str] = []

    def produce() -> None:
        answer = ask()
        with condition:
            ready.append(answer)
            condition.notify_all()

    with play(recording(unstreamed(1.25))):
        began = time.monotonic()
        thread = threading.Thread(target=produce)
        with condition:
            thread.start()
            condition.wait_for(lambda: ready, timeout=5)
        took = _since(began)
        thread.join()

    assert took == 1.25


def test_a_barrier_opens_for_the_slowest() -> None:
    barrier = threading.Barrier(3)
    passed: list[float] = []

    def program(began: float) -> None:
        ask()
        barrier.wait()
        passed.append(_since(began))

    with play(recording(unstreamed(1), unstreamed(4), unstreamed(2))):
        began = time.monotonic()
        threads = [threading.Thread(target=program, args=(began,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert passed == [4.0, 4.0, 4.0]


def test_futures_are_seen_in_the_order_in_which_they_complete() -> None:
    with play(recording(unstreamed(3), unstreamed(1), unstreamed(2))), ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        futures = [pool.submit(ask) for _ in range(3)]
        seen = [_since(began) for _ in as_completed(futures)]

    assert seen == [1.0, 2.0, 3.0]


def test_the_first_future_of_several_can_be_waited_for() -> None:
    with play(recording(unstreamed(3), unstreamed(1))), ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        futures = {pool.submit(ask) for _ in range(2)}
        wait(futures, return_when=FIRST_COMPLETED)
        first = _since(began)
        wait(futures, return_when=ALL_COMPLETED)
        last = _since(began)

    assert (first, last) == (1.0, 3.0)


def test_waiting_for_a_late_result_times_out() -> None:
    with play(recording(unstreamed(5))), ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        future = pool.submit(ask)
        with pytest.raises(FutureTimeout):
            future.result(timeout=2)
        took = _since(began)

    assert took == 2.0


def test_a_nested_loop_in_a_thread_shares_the_time() -> None:
    async def outer() -> None:
        await asyncio.gather(asyncio.to_thread(lambda: asyncio.run(aask())), aask())

    with play(recording(unstreamed(2), unstreamed(3))) as measured:
        asyncio.run(outer())

    assert measured.elapsed == 3.0


def test_context_and_thread_locals_are_the_programs_own() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    local = threading.local()
    seen: list[tuple[str, str]] = []

    async def named_calls(own: str) -> None:
        name.set(own)
        await aask()
        await asyncio.to_thread(note)

    def note() -> None:
        local.seen = name.get()
        ask()
        seen.append((name.get(), local.seen))

    async def program() -> None:
        await asyncio.gather(named_calls("a"), named_calls("b"))

    with play(recording(*[unstreamed(1)] * 4)):
        asyncio.run(program())

    assert sorted(seen) == [("a", "a"), ("b", "b")]


OLD_POOL = ThreadPoolExecutor(2)


@pytest.mark.parametrize("run", [1, 2])
def test_a_pool_older_than_the_world_works_in_its_time(run: int) -> None:
    OLD_POOL.submit(time.sleep, 0).result()

    with play(recording(unstreamed(2), unstreamed(1), unstreamed(1))) as measured:
        futures: list[Future[str]] = [OLD_POOL.submit(ask) for _ in range(3)]
        for future in futures:
            future.result()

    assert measured.elapsed == 2.0


def test_a_loop_older_than_the_world_runs_calls_in_virtual_time() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()

    with play(recording(unstreamed(2), unstreamed(1))) as measured:
        first = asyncio.run_coroutine_threadsafe(aask(), loop)
        second = asyncio.run_coroutine_threadsafe(aask(), loop)
        first.result()
        second.result()

    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert measured.elapsed == 2.0
