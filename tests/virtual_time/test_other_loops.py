"""Loops and selectors that are not as asyncio makes them: followed, or refused at the first wait."""

from __future__ import annotations

import asyncio
import selectors
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from pytest_claude_latency.virtual_time import UnsupportedLoop, World

SECOND = 10**9


class Slotted(selectors.DefaultSelector):
    __slots__ = ()


class Delegating:
    """A selector that has another one inside, and no attributes to set."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def select(self, timeout: float | None = None) -> Any:
        return self._inner.select(timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Hiding:
    """A selector with only the methods that asyncio calls."""

    def __init__(self) -> None:
        inner = selectors.DefaultSelector()
        self.register, self.unregister, self.modify = inner.register, inner.unregister, inner.modify
        self.get_key, self.close, self.get_map = inner.get_key, inner.close, inner.get_map
        self._select = inner.select

    @property
    def select(self) -> Any:
        return self._select


class Silent(Hiding):
    """A selector that does not tell which files it watches."""

    def __init__(self) -> None:
        super().__init__()
        files = self.get_map()
        self.get_map = lambda: SimpleNamespace(get=files.get)  # type: ignore[assignment,return-value]


def monitored(loop: asyncio.AbstractEventLoop) -> list[float | None]:
    """Put a monitor around the `select` of the loop's selector, as tools that measure a loop's lag do."""
    asked: list[float | None] = []
    selector: Any = loop._selector  # type: ignore[attr-defined]
    inner = selector.select

    def select(timeout: float | None = None) -> Any:
        asked.append(timeout)
        return inner(timeout)

    selector.select = select
    return asked


async def program() -> float:
    async def wait(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time()

    before = asyncio.get_running_loop().time()
    thread = asyncio.to_thread(time.sleep, 2)
    await asyncio.gather(wait(1), wait(3), asyncio.wait_for(wait(2), 10), thread)
    return asyncio.get_running_loop().time() - before


def takes_three_virtual_seconds(world: World, loop: asyncio.AbstractEventLoop) -> bool:
    try:
        took = loop.run_until_complete(program())
    finally:
        loop.close()
    return took == pytest.approx(3) and world.clock.now() == 3 * SECOND and not world.real_waits()


@pytest.mark.parametrize(
    "make",
    [
        Slotted,
        Hiding,
        lambda: Delegating(selectors.DefaultSelector()),
        lambda: mock.Mock(wraps=selectors.DefaultSelector()),
        lambda: mock.MagicMock(wraps=selectors.DefaultSelector()),
        selectors.SelectSelector,
    ],
)
def test_a_selector_of_the_program_is_followed(world: World, make: Callable[[], Any]) -> None:
    assert takes_three_virtual_seconds(world, asyncio.SelectorEventLoop(make()))


def test_a_selector_that_a_test_has_put_into_the_module_is_followed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = selectors.DefaultSelector
    monkeypatch.setattr(selectors, "DefaultSelector", lambda: Delegating(machine()))

    assert takes_three_virtual_seconds(world, asyncio.new_event_loop())


def test_a_monitor_around_a_selector_is_followed_and_stays(world: World) -> None:
    loop = asyncio.new_event_loop()
    asked = monitored(loop)
    monitor = loop._selector.select  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(1))
    first = len(asked)

    assert loop._selector.select is monitor  # type: ignore[attr-defined]
    assert world.clock.now() == SECOND
    assert not world.real_waits()
    loop.run_until_complete(asyncio.sleep(1))
    loop.close()
    assert len(asked) > first > 0


def test_a_monitor_that_begins_while_the_loop_runs_is_followed(world: World) -> None:
    async def main() -> list[float | None]:
        await asyncio.sleep(1)
        asked = monitored(asyncio.get_running_loop())
        await asyncio.sleep(1)
        return asked

    loop = asyncio.new_event_loop()
    asked = loop.run_until_complete(main())
    before = len(asked)
    loop.run_until_complete(asyncio.sleep(1))
    loop.close()

    assert len(asked) > before > 0
    assert world.clock.now() == 3 * SECOND
    assert not world.real_waits()


def test_a_selector_that_is_exchanged_while_the_loop_runs_is_followed(world: World) -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        loop: Any = asyncio.get_running_loop()
        loop._selector = Delegating(loop._selector)
        await asyncio.sleep(2)

    asyncio.run(main())

    assert world.clock.now() == 3 * SECOND
    assert not world.real_waits()


def test_a_selector_is_left_as_it_was(world: World) -> None:
    loop = asyncio.new_event_loop()
    selector: Any = loop._selector  # type: ignore[attr-defined]
    before = dict(vars(selector))
    loop.run_until_complete(asyncio.sleep(1))

    assert loop._selector is selector  # type: ignore[attr-defined]
    assert set(vars(selector)) == set(before)
    loop.close()


def test_a_selector_that_hides_its_files_is_refused(world: World) -> None:
    loop = asyncio.SelectorEventLoop(Silent())  # type: ignore[arg-type] # it is none
    with pytest.raises(UnsupportedLoop, match="does not tell which files it watches"):
        loop.run_until_complete(asyncio.sleep(1))
    loop.close()


def test_a_loop_with_a_clock_of_its_own_is_refused(world: World) -> None:
    class Loop(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return 5.0

    loop = Loop()
    with pytest.raises(UnsupportedLoop, match=r"waited for 1.000s, and its time\(\) went on by 0ms"):
        loop.run_until_complete(asyncio.sleep(1))
    loop.close()


@pytest.mark.parametrize("clock", [time.time, time.perf_counter, lambda: time.monotonic() + 1000])
def test_a_loop_whose_clock_follows_is_followed(world: World, clock: Callable[[], float]) -> None:
    class Loop(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return clock()

    assert takes_three_virtual_seconds(world, Loop())


def test_a_policy_of_the_program_is_followed(world: World) -> None:
    class Loop(asyncio.SelectorEventLoop):
        pass

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return Loop(Slotted())

    assert takes_three_virtual_seconds(world, Policy().new_event_loop())


@pytest.mark.parametrize("first", ["install", "import"])
@pytest.mark.parametrize("library", ["nest_asyncio", "nest_asyncio2"])
def test_loops_in_loops_follow_virtual_time(library: str, first: str) -> None:
    pytest.importorskip(library)
    if library == "nest_asyncio" and sys.version_info >= (3, 14):
        pytest.skip("the library does not know this Python")
    install = "virtual_time.install()"
    imports = f"import {library} as nest"
    source = f"""
        from pytest_claude_latency import virtual_time
        from pytest_claude_latency.virtual_time.clock import VirtualClock
        {install if first == "install" else imports}
        {imports if first == "install" else install}
        import asyncio, time
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        nest.apply(loop)
        world = virtual_time.World(VirtualClock(), name="nested")

        async def inner(seconds):
            await asyncio.sleep(seconds)
            await world.async_sleep_until(world.clock.now() + 10**9)

        async def main():
            beside = asyncio.create_task(asyncio.sleep(6))
            loop.run_until_complete(inner(1))
            loop.run_until_complete(asyncio.wait_for(inner(1), 10))
            await asyncio.to_thread(time.sleep, 1)
            assert world.clock.now() == 5 * 10**9
            await beside

        world.enter()
        loop.run_until_complete(main())
        print(world.clock.now(), len(world.real_waits()))
        world.leave()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], check=True, capture_output=True, text=True)

    assert done.stdout.split() == [str(6 * SECOND), "0"]


def test_a_trio_run_with_a_clock_of_the_program_is_refused(world: World) -> None:
    trio = pytest.importorskip("trio")
    testing = pytest.importorskip("trio.testing")

    async def main() -> None:
        await world.async_sleep_until(SECOND)

    with pytest.raises(UnsupportedLoop, match=r"trio run with .*MockClock.*does not follow"):
        trio.run(main, clock=testing.MockClock(autojump_threshold=0))


def test_a_trio_run_with_instruments_is_followed(world: World) -> None:
    trio = pytest.importorskip("trio")
    waits: list[float] = []

    class Instrument(trio.abc.Instrument):  # type: ignore[misc,name-defined] # imported where it is used
        def before_io_wait(self, timeout: float) -> None:
            waits.append(timeout)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 3)
            nursery.start_soon(world.async_sleep_until, 2 * SECOND)

    trio.run(main, instruments=[Instrument()])

    assert waits
    assert world.clock.now() == 3 * SECOND
    assert not world.real_waits()
