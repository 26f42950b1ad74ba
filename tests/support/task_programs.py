"""Random programs of tasks, which note what each of their parts does when.

They use what asyncio has for tasks: groups, time-outs, queues, semaphores, events, shields, cancelling. A program only
looks at its loop, so it runs on any. `SteppingLoop` is a loop of asyncio whose time jumps to its next timer: it shows
what a program does without this package.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, TypeAlias

Path: TypeAlias = tuple[int, ...]
Events: TypeAlias = dict[Path, list[tuple[float, str]]]  # of each part, in their order
Sleep: TypeAlias = Callable[[float], Awaitable[object]]
Job: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Part:
    """One part of a program: the name in `KINDS`, how long it waits, and what it starts."""

    kind: str
    seconds: tuple[float, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Doing:
    """A part that is under way."""

    seconds: tuple[float, ...]
    jobs: list[Job]
    note: Callable[[object], None]
    wait: Sleep


async def _sleep(doing: Doing) -> None:
    await asyncio.sleep(doing.seconds[0])


async def _wait(doing: Doing) -> None:
    await doing.wait(doing.seconds[0])


async def _nothing(_: Doing) -> None:
    pass


async def _give_way(_: Doing) -> None:
    await asyncio.sleep(0)


async def _sequence(doing: Doing) -> None:
    for job in doing.jobs:
        await job()


async def _gather(doing: Doing) -> None:
    await asyncio.gather(*(job() for job in doing.jobs))


async def _group(doing: Doing) -> None:
    async with asyncio.TaskGroup() as group:
        for job in doing.jobs:
            group.create_task(job())
        await asyncio.sleep(doing.seconds[0])


async def _limit(doing: Doing) -> None:
    try:
        async with asyncio.timeout(doing.seconds[0]):
            await _sequence(doing)
    except TimeoutError:
        doing.note("took too long")


async def _limits(doing: Doing) -> None:
    for job in doing.jobs:
        try:
            await asyncio.wait_for(job(), doing.seconds[0])
        except TimeoutError:
            doing.note("took too long")


async def _shield(doing: Doing) -> None:
    for job in doing.jobs:
        task = asyncio.ensure_future(job())
        try:
            await asyncio.wait_for(asyncio.shield(task), doing.seconds[0])
        except TimeoutError:
            doing.note("goes on")
            await task


async def _queue(doing: Doing) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=int(doing.seconds[3]) % 3)  # 0: without a limit

    async def put() -> None:
        for number in range(3):
            await asyncio.sleep(doing.seconds[1] / 4)
            await queue.put(number)

    async with asyncio.TaskGroup() as group:
        for job in doing.jobs:
            group.create_task(put())
            group.create_task(job())
        for _ in range(3 * len(doing.jobs)):
            doing.note(await queue.get())
            await asyncio.sleep(doing.seconds[2] / 8)


async def _cancel(doing: Doing) -> None:
    tasks = [asyncio.create_task(job()) for job in doing.jobs]
    await asyncio.sleep(doing.seconds[0])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _semaphore(doing: Doing) -> None:
    semaphore = asyncio.Semaphore(1 + int(doing.seconds[3]) % 2)

    async def run(job: Job) -> None:
        async with semaphore:
            await job()

    await asyncio.gather(*(run(job) for job in doing.jobs))


async def _event(doing: Doing) -> None:
    event = asyncio.Event()

    async def set_later() -> None:
        await asyncio.sleep(doing.seconds[0])
        event.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(set_later())
        for job in doing.jobs:
            group.create_task(job())
        await event.wait()


async def _fail(doing: Doing) -> None:
    async def fail() -> None:
        await asyncio.sleep(doing.seconds[0])
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            for job in doing.jobs:
                group.create_task(job())
    except* ValueError:
        doing.note("failed")


LEAVES = {"sleep": _sleep, "wait": _wait, "nothing": _nothing, "give way": _give_way}
KINDS: dict[str, Callable[[Doing], Coroutine[Any, Any, None]]] = LEAVES | {
    "sequence": _sequence,
    "gather": _gather,
    "group": _group,
    "limit": _limit,
    "limits": _limits,
    "shield": _shield,
    "queue": _queue,
    "cancel": _cancel,
    "semaphore": _semaphore,
    "event": _event,
    "fail": _fail,
}


def a_program(random: Random, depth: int = 0) -> Part:
    """Return a random program.

    Its seconds are whole 2^-20ths, so that floats add them up without an error. Two things are hardly ever due at one
    instant: their order would mean nothing.
    """
    kind = random.choice(list(LEAVES if depth == 4 else KINDS))
    seconds = tuple(random.randrange(10 << 20) / (1 << 20) for _ in range(4))
    parts = () if kind in LEAVES else tuple(a_program(random, depth + 1) for _ in range(random.randrange(1, 4)))
    return Part(kind, seconds, parts)


async def events_of(program: Part, wait: Sleep, *, eager: bool) -> Events:
    """Run a program and return what it noted; `wait` is what it does where it does not sleep."""
    loop = asyncio.get_running_loop()
    began, events = loop.time(), Events()
    if eager:
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - Python 3.12

    async def run(part: Part, path: Path) -> None:
        def note(event: object) -> None:
            events.setdefault(path, []).append((loop.time() - began, str(event)))

        note(f"begins to {part.kind}")
        jobs: list[Job] = [partial(run, inner, (*path, number)) for number, inner in enumerate(part.parts)]
        try:
            await KINDS[part.kind](Doing(part.seconds, jobs, note, wait))
        except asyncio.CancelledError:
            note("is cancelled")
            raise
        finally:
            note("ends")

    await asyncio.gather(asyncio.create_task(run(program, ())), return_exceptions=True)
    return events


class _SteppingSelector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the program is stuck"
            self.now += max(0.0, timeout)
        return ready


class SteppingLoop(asyncio.SelectorEventLoop):
    """A loop that waits for nothing: its time jumps to its next timer."""

    def __init__(self) -> None:
        self._stepping = _SteppingSelector()
        super().__init__(self._stepping)

    def time(self) -> float:
        """Return how far the timers have come."""
        return self._stepping.now
