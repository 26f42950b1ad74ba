from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from pytest_claude_latency import virtual_time


def python(source: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_installing_twice_changes_nothing() -> None:
    before = (time.sleep, threading.Condition.wait, threading.Thread.start)
    virtual_time.install()

    assert (time.sleep, threading.Condition.wait, threading.Thread.start) == before


def test_installing_imports_nothing_that_a_program_may_not_need() -> None:
    heavy = python("""
        import sys
        from pytest_claude_latency import virtual_time
        virtual_time.install()
        print(*{"asyncio", "trio", "uvloop", "anyio", "concurrent.futures", "socket", "ctypes"} & set(sys.modules))
    """)

    assert heavy == ""


@pytest.mark.parametrize("first", ["install", "import"])
def test_libraries_are_patched_whenever_they_are_imported(first: str) -> None:
    imports = "import asyncio, concurrent.futures, queue, trio, uvloop"
    install = "virtual_time.install()"
    ends = python(f"""
        from pytest_claude_latency import virtual_time
        from pytest_claude_latency.virtual_time.clock import VirtualClock
        {install if first == "install" else imports}
        {imports if first == "install" else install}
        world = virtual_time.World(VirtualClock(), name="fresh")
        world.enter()
        asyncio.run(asyncio.sleep(1))
        uvloop.run(asyncio.sleep(1))
        trio.run(trio.sleep, 1)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: __import__("time").sleep(1), range(4)))
        try:
            queue.Queue().get(timeout=1)
        except queue.Empty:
            print(world.clock.now())
        world.leave()
    """)

    assert ends == "6000000000"


def test_what_is_imported_while_the_hook_is_gone_is_patched_in_the_next_world() -> None:
    """pytester restores `sys.meta_path` at the end of a run in its own process."""
    rounds = python("""
        import sys, time
        from pytest_claude_latency import virtual_time
        from pytest_claude_latency.virtual_time.clock import VirtualClock
        virtual_time.install()
        before = list(sys.meta_path)
        rounds = 0
        for number in range(2):
            world = virtual_time.World(VirtualClock(), name=f"world {number}")
            world.enter()
            if number == 1:
                deadline = time.monotonic() + 0.2
                while time.monotonic() < deadline and rounds < 10:
                    multiprocessing.Event().wait(0.05)
                    rounds += 1
            world.leave()
            sys.meta_path[:] = before
            import multiprocessing.synchronize
        print(rounds)
    """)

    assert rounds == "4"


def test_a_patched_module_keeps_its_loader_and_source() -> None:
    loaders = python("""
        from pytest_claude_latency import virtual_time
        virtual_time.install()
        import asyncio.base_events, inspect
        print(type(asyncio.base_events.__loader__).__name__, type(asyncio.base_events.__spec__.loader).__name__)
        print(len(inspect.getsource(asyncio.base_events)) > 1000)
    """)

    assert loaders.split() == ["SourceFileLoader", "SourceFileLoader", "True"]


def test_the_interpreter_exits_although_threads_were_left_parked() -> None:
    printed = python("""
        from pytest_claude_latency import virtual_time
        from pytest_claude_latency.virtual_time.clock import VirtualClock
        virtual_time.install()
        import asyncio, threading, time
        from concurrent.futures import ThreadPoolExecutor
        world = virtual_time.World(VirtualClock(), name="left")
        world.enter()
        ThreadPoolExecutor(1).submit(time.sleep, 0.1)
        threading.Thread(target=time.sleep, args=(0.1,)).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        world.leave()
        print("left")
    """)

    assert printed == "left"


def test_a_forked_child_lives_in_real_time() -> None:
    printed = python("""
        import os, time
        from pytest_claude_latency import virtual_time
        from pytest_claude_latency.virtual_time.clock import VirtualClock
        virtual_time.install()
        world = virtual_time.World(VirtualClock(), name="parent")
        world.enter()
        time.sleep(3600)
        child = os.fork()
        if child == 0:
            before = time.monotonic.machine()
            time.sleep(0.02)
            slept = time.monotonic.machine() - before >= 0.02
            os._exit(0 if slept and virtual_time.current() is None else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), world.clock.now() == 3600 * 10**9)
    """)

    assert printed == "0 True"


@pytest.mark.parametrize("package", ["opentelemetry", "tqdm", "sentry_sdk", "logging"])
def test_background_threads_of_libraries_see_real_time(world: virtual_time.World, package: str) -> None:
    scope: dict[str, Any] = {"__name__": f"{package}.inner", "worlds": []}
    exec(
        textwrap.dedent("""
            import threading, time
            from pytest_claude_latency import virtual_time

            def work():
                worlds.append(virtual_time.current())
                threading.Event().wait(0.01)

            thread = threading.Thread(target=work)
            thread.start()
        """),
        scope,
    )
    thread = scope["thread"]
    assert isinstance(thread, threading.Thread)
    thread.join()

    assert scope["worlds"] == [None]
    assert world.clock.now() == 0


@pytest.mark.slow
@pytest.mark.parametrize("imported_before", ["", "import pytest_claude_latency"])
def test_runs_of_pytester_in_a_process_without_the_plugin_share_one_virtual_time(
    pytester: pytest.Pytester, imported_before: str
) -> None:
    waits = """
        import pytest

        @pytest.mark.latency_budget(calls=0)
        def test_in_a_pool():
            import time
            from concurrent.futures import ThreadPoolExecutor
            began = time.monotonic()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(time.sleep, [1800] * 4))
            assert 3600 <= time.monotonic() - began < 3601
    """
    pytester.makepyfile(
        f"""
        import textwrap
        {imported_before}
        pytest_plugins = "pytester"

        def test_it(pytester):
            pytester.makepyfile(test_inner=textwrap.dedent({waits!r}))
            pytester.runpytest_inprocess().assert_outcomes(passed=1)
            import concurrent.futures.thread  # forgotten at the end of the run, and now without the hook
            pytester.runpytest_inprocess().assert_outcomes(passed=1)
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:claude_latency", timeout=120)

    result.assert_outcomes(passed=1)
