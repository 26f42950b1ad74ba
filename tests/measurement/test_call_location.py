"""The line of the program that makes a call: on the stack, or waiting for the task that makes it."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.measurement import call_location

ROOT = Path(__file__).parent
CLIENT = """
async def create(log, look, following=None):
    log.append(look())
    if following is not None:
        await following


def create_now(log, look):
    log.append(look())


def call(function, *args):
    return function(*args)
"""


# The code of an installed client library, and a door of this package that it calls.
_client: dict[str, Any] = {"__name__": "client"}
exec(compile(CLIENT, str(Path(sysconfig.get_path("purelib"), "client", "api.py")), "exec"), _client)
create: Callable[..., Awaitable[None]] = _client["create"]
_OWN = compile("look = lambda: of_this_call(root)", str(Path(call_location.__file__)), "exec")
_door: dict[str, Any] = {"of_this_call": call_location.of_this_call, "root": ROOT, "__name__": "door"}
exec(_OWN, _door)
door: Callable[[], str | None] = _door["look"]


def line() -> str:
    """The line before the one that calls this, as locations have it."""
    frame = sys._getframe(1)
    return f"test_call_location.py:{frame.f_lineno - 1} in {frame.f_code.co_name}"


def test_it_is_the_innermost_line_of_the_program() -> None:
    log: list[str | None] = []

    def classify() -> str:
        _client["create_now"](log, door)
        return line()

    assert [classify()] == log


def test_a_line_of_the_program_that_the_library_calls_is_further_in() -> None:
    log: list[str | None] = []

    def hook() -> str:
        _client["create_now"](log, door)
        return line()

    assert [_client["call"](hook)] == log


async def directly(log: list[str | None]) -> str:
    await create(log, door)
    return line()


async def by_gather(log: list[str | None]) -> str:
    await asyncio.gather(create(log, door))
    return line()


async def by_gathers(log: list[str | None]) -> str:
    await asyncio.gather(asyncio.gather(create(log, door)))
    return line()


async def by_wait_for(log: list[str | None]) -> str:
    await asyncio.wait_for(create(log, door), 5)
    return line()


async def by_wait(log: list[str | None]) -> str:
    await asyncio.wait([asyncio.ensure_future(create(log, door))])
    return line()


async def by_shield(log: list[str | None]) -> str:
    await asyncio.shield(create(log, door))
    return line()


async def by_task(log: list[str | None]) -> str:
    task = asyncio.ensure_future(create(log, door))
    await task
    return line()


async def by_a_task_that_a_library_waits_for(log: list[str | None]) -> str:
    task = asyncio.ensure_future(create(log, door))
    await create([], door, following=task)
    return line()


@pytest.mark.parametrize(
    "way",
    [
        directly,
        by_gather,
        by_gathers,
        by_wait_for,
        by_wait,
        by_shield,
        by_task,
        by_a_task_that_a_library_waits_for,
    ],
)
def test_a_task_of_the_client_is_made_where_the_program_waits_for_it(
    way: Callable[[list[str | None]], Any],
) -> None:
    log: list[str | None] = []

    assert [asyncio.run(way(log))] == log


def test_a_task_group_is_where_its_tasks_are_made() -> None:
    log: list[str | None] = []

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(create(log, door))  # type: ignore[arg-type]

    asyncio.run(grouped())

    assert log[0] is not None
    assert log[0].startswith("test_call_location.py:")
    assert log[0].endswith(" in grouped")


def test_without_a_line_of_the_program_it_is_what_called_the_library() -> None:
    log: list[str | None] = []
    thread = threading.Thread(target=_client["create_now"], args=(log, door))
    thread.start()
    thread.join()

    assert log[0] is not None
    assert "threading.py:" in log[0]


def test_a_file_outside_the_root_is_named_in_full(tmp_path: Path) -> None:
    log: list[str | None] = []
    _client["create_now"](log, lambda: call_location.of_this_call(tmp_path))

    assert log[0] is not None
    assert log[0].startswith(f"{__file__}:")
