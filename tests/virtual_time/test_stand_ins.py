"""What stands in the place of the machine's functions before the first world begins."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from pytest_claude_latency import required_names
from pytest_claude_latency.virtual_time.patches import stand_ins

MACHINERY = "pytest_claude_latency.virtual_time.patches.machinery"
BEGIN = f"""
import sys
from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock

virtual_time.install()

def loaded():
    return {MACHINERY!r} in sys.modules

def begin():
    assert not loaded(), "nothing may need it before"
    world = virtual_time.World(VirtualClock(), name="the first")
    world.enter()
    return world
"""


def python(source: str, before: str = "") -> str:
    """Return what a fresh interpreter prints in which only stand-ins are in place at first.

    `before` is what it runs before anything is in place.
    """
    program = textwrap.dedent(before) + BEGIN + textwrap.dedent(source)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_copies_of_the_time_functions_that_were_made_early_follow_the_world() -> None:
    printed = python("""
        import time
        from time import monotonic, sleep, strftime, time as now

        class Timer:
            clock = time.monotonic

        def waits(seconds, wait=time.sleep, clock=time.perf_counter_ns):
            before = clock()
            wait(seconds)
            return clock() - before

        sleep(0)
        machine = monotonic()
        world = begin()
        before, day = Timer.clock(), strftime("%j")
        assert before >= machine
        sleep(86400)
        print(waits(1), round(Timer.clock() - before), strftime("%j") != day, Timer().clock() == Timer.clock())
    """)

    assert printed == f"{10**9} 86401 True True"


def test_the_machines_clock_reads_the_machine_whenever_it_is_imported() -> None:
    program = """
        from pytest_claude_latency import virtual_time
        virtual_time.install()
        from pytest_claude_latency.virtual_time.clock import VirtualClock, WallClock
        import time
        virtual_time.World(VirtualClock(), name="the first").enter()
        before = WallClock().now()
        time.sleep(86400)
        print(WallClock().now() - before < 3600 * 10**9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)

    assert done.stdout == "True\n"


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_that_was_made_early_is_waited_for_in_virtual_time(kind: str) -> None:
    printed = python(f"""
        import threading
        from threading import {kind} as Kind
        lock = Kind()
        with lock:
            pass
        world = begin()
        def hold():
            with lock:
                held.set()
                virtual_time.current().sleep_until(50 * 10**9)
        held = threading.Event()
        threading.Thread(target=hold).start()
        held.wait()
        print(lock.acquire(timeout=20), world.clock.now(), lock.acquire(), world.clock.now())
    """)

    assert printed == f"False {20 * 10**9} True {50 * 10**9}"


def test_a_simple_queue_that_was_made_early_is_waited_for_in_virtual_time() -> None:
    printed = python("""
        import queue
        from queue import SimpleQueue
        jobs = SimpleQueue()
        jobs.put("early")
        world = begin()
        try:
            print(jobs.get(), end=" ")
            jobs.get(timeout=7)
        except queue.Empty:
            print(world.clock.now())
    """)

    assert printed == f"early {7 * 10**9}"


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="this system has no such timers")
def test_copies_of_signal_functions_that_were_made_early_follow_the_world() -> None:
    printed = python("""
        import signal, time
        from signal import alarm, getitimer
        rung = []
        signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
        assert alarm(0) == 0
        world = begin()
        before = time.monotonic()
        alarm(3600)
        print(round(getitimer(signal.ITIMER_REAL)[0]), end=" ")
        time.sleep(7200)
        print(round(rung[0] - before))
    """)

    assert printed == "3600 3600"


def test_a_copy_of_uuid1_that_was_made_early_holds_the_date_of_the_world() -> None:
    printed = python("""
        import time
        from uuid import uuid1
        before = uuid1().time
        begin()
        time.sleep(86400)
        print((uuid1().time - before) // 10**7 // 86400)
    """)

    assert printed == "1"


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=work, daemon=True).start()",
        "_thread.start_new_thread(work, ())",
        "concurrent.futures.ThreadPoolExecutor(1).submit(work)",
    ],
)
def test_a_thread_that_was_started_early_works_for_the_first_world(start: str) -> None:
    """It waits for a job when the world begins, and must be known there: or the clock would move while it works."""
    printed = python(f"""
        import _thread, concurrent.futures, queue, threading, time
        jobs, results, waits = queue.Queue(), queue.Queue(), threading.Event()
        def work():
            while (job := jobs.get()) is not None:
                time.sleep(job)
                results.put(job)
        assert not loaded()
        {start}
        assert loaded()
        jobs.put(0)
        results.get()
        world = virtual_time.World(VirtualClock(), name="the first")
        world.enter()
        for seconds in (1800, 1800):
            jobs.put(seconds)
            results.get(timeout=3600)
        print(world.clock.now())
        world.leave()
        jobs.put(None)
    """)

    assert printed == str(3600 * 10**9)


def test_the_initializer_of_a_pool_that_was_made_early_runs_in_the_world() -> None:
    printed = python("""
        import time
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1, initializer=time.sleep, initargs=(60,))
        world = virtual_time.World(VirtualClock(), name="the first")
        world.enter()
        pool.submit(time.sleep, 60).result()
        print(world.clock.now())
        pool.shutdown()
    """)

    assert printed == str(120 * 10**9)


def test_what_is_imported_before_the_first_world_is_patched_with_it() -> None:
    printed = python("""
        import asyncio, concurrent.futures.thread, trio, time
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
        world = begin()
        loop.run_until_complete(asyncio.sleep(10))
        trio.run(trio.sleep, 10)
        print(world.clock.now())
    """)

    assert printed == str(20 * 10**9)


def test_a_library_that_only_says_it_is_a_module_does_not_keep_the_first_world_from_its_start() -> None:
    printed = python(
        """
        print(begin().clock.now())
    """,
        before="""
        import sys, types

        class Library:
            __slots__ = ()
            __class__ = types.ModuleType  # as those of cffi do

        sys.modules["library"] = Library()
    """,
    )

    assert printed == "0"


def test_a_missing_name_of_a_library_that_was_imported_early_is_told() -> None:
    printed = python("""
        import trio
        del trio._core._run.unrolled_run
        try:
            virtual_time.require_supported()
        except Exception as error:
            print(error)
    """)

    assert "has no trio._core._run.unrolled_run, which this plugin needs" in printed


def test_what_is_patched_early_has_no_names_that_are_to_be_checked_or_is_checked() -> None:
    early = stand_ins._WATCHER._patches.keys() & required_names._REQUIRED.keys()

    # of the first only the constructor is replaced early, by what does the same; freezegun is checked
    assert early == {"concurrent.futures.thread", "freezegun.api"}


def test_a_missing_name_of_freezegun_is_told_and_freezegun_stays_as_it_was() -> None:
    printed = python("""
        import sys, types
        api = types.ModuleType("freezegun.api")
        sys.modules["freezegun"], sys.modules["freezegun.api"] = types.ModuleType("freezegun"), api
        before = dict(vars(api))
        virtual_time.install()
        try:
            virtual_time.require_supported()
        except Exception as error:
            print(error)
        print(vars(api) == before)
    """)

    told, is_as_it_was = printed.splitlines()
    assert "has no freezegun.api._real_time_object_ids, " in told
    assert is_as_it_was == "True"


def test_a_missing_name_of_threads_is_told_and_threads_run_as_they_did() -> None:
    printed = python("""
        import threading
        from pytest_claude_latency import required_names
        required_names._REQUIRED["threading"] = ("Python 3.11 to 3.14", {"threading": ("Thread.no_such_name",)})
        thread = threading.Thread(target=print, args=("it ran",))
        thread.start()
        thread.join()
        try:
            virtual_time.require_supported()
        except Exception as error:
            print(error)
    """)

    ran, told = printed.splitlines()
    assert ran == "it ran"
    assert "has no threading.Thread.no_such_name, which this plugin needs" in told


def test_a_stand_in_looks_like_the_machines_function() -> None:
    printed = python("""
        import _thread, inspect, os, pickle, signal, threading, time, uuid
        for function in (time.sleep, os.kill, signal.pthread_kill, uuid.uuid1, threading.Thread.start, time.monotonic):
            assert function.__doc__ and function.__name__ in str(function), function
        print(pickle.loads(pickle.dumps(time.sleep)) is time.sleep, os.kill.__name__, signal.pthread_kill.__module__)
        print(inspect.signature(threading.Condition.wait), _thread.start_new is _thread.start_new_thread)
    """)

    assert printed.splitlines() == ["True kill signal", "(self, timeout=None) True"]
