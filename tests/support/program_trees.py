"""Random concurrent programs as trees, a model of when each of their calls begins and ends, and two ways to run them.

The model knows nothing of threads, loops or clocks: it adds, takes minima and
maxima, and gives each job to the worker that is free first. Durations are whole
milliseconds. A call that is cancelled at the instant at which it would begin or
end leaves no trace that depends on the order within that instant.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from heapq import heapreplace
from itertools import chain
from typing import Any, TypeAlias

from hypothesis import strategies as st

from pytest_claude_latency.virtual_time import World
from tests.support.program_elders import CHANNELS, LOOP, OLDER_POOLS, Elders, Need
from tests.support.program_threads import POOLS, REAL_WAITS, WAITS, Outside

Span: TypeAlias = tuple[int, int]  # begin and end of one call, in milliseconds
FOREVER = 10**9


@dataclass(frozen=True)
class Call:
    """A call that takes `ms` milliseconds; in threads, `how` names the wait that takes them."""

    ms: int
    how: str = "answer"


@dataclass(frozen=True)
class Sequence:
    """Parts that run one after another."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Together:
    """Parts that run at the same time: gathered tasks, or threads that are joined."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Pool:
    """Parts of which at most `size` run at once, in their order: a semaphore, or what `how` names in threads."""

    size: int
    parts: tuple[Tree, ...]
    how: str = "executor"


@dataclass(frozen=True)
class Race:
    """Parts that run at the same time until the first ends, which cancels the rest. Tasks only."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Limit:
    """A part that is cancelled after `ms` milliseconds. Tasks only."""

    ms: int
    part: Tree


@dataclass(frozen=True)
class Late:
    """A part that is asked for its result after `ms` milliseconds, and then waited for. Threads only."""

    ms: int
    part: Tree


@dataclass(frozen=True)
class Aside:
    """A part that tasks give to a thread, or that a thread runs in a loop; `older` if one older than the world."""

    part: Tree
    older: bool = False


@dataclass(frozen=True)
class Handed:
    """A part that a thread older than the world does, which gets it through what `how` names. Threads only."""

    part: Tree
    how: str = "queue"


@dataclass(frozen=True)
class Errand:
    """Something that the thread of a library does in a moment of real time, while the program waits. Threads only."""


@dataclass(frozen=True)
class Real:
    """A wait whose limit of `ms` milliseconds passes in reality; `how` names it. Threads only."""

    ms: int
    how: str


Tree: TypeAlias = Call | Sequence | Together | Pool | Race | Limit | Late | Aside | Handed | Errand | Real


# ── the model ──


def end_of(tree: Tree, begin: int = 0) -> int:  # noqa: PLR0911  # one return for each kind of tree
    """Return when a program ends that begins at `begin`."""
    match tree:
        case Call(ms) | Real(ms):
            return begin + ms
        case Sequence(parts):
            for part in parts:
                begin = end_of(part, begin)
            return begin
        case Together(parts):
            return max(end_of(part, begin) for part in parts)
        case Race(parts):
            return min(end_of(part, begin) for part in parts)
        case Limit(ms, part):
            return min(begin + ms, end_of(part, begin))
        case Errand():
            return begin
        case Pool(_, parts):
            return max(end_of(part, at) for part, at in zip(parts, _dealt(tree, begin), strict=True))
        case Late(_, part) | Aside(part, _) | Handed(part, _):
            return end_of(part, begin)


def spans_of(tree: Tree, begin: int = 0, cut: int = FOREVER) -> list[Span]:
    """Return begin and end of each call of a program, also of calls that are cut short at `cut`."""
    cut = min(cut, end_of(tree, begin))
    match tree:
        case Call() | Real():
            return [(begin, cut)] if begin < cut else []
        case Sequence(parts):
            begins = [begin]
            for part in parts:
                begins.append(end_of(part, begins[-1]))
        case Pool(_, parts):
            begins = _dealt(tree, begin)
        case Together(parts) | Race(parts):
            begins = [begin] * len(parts)
        case Limit(_, part) | Late(_, part) | Aside(part, _) | Handed(part, _):
            parts, begins = (part,), [begin]
        case Errand():
            return []
    return [span for part, at in zip(parts, begins, strict=False) for span in spans_of(part, at, cut)]


def _dealt(pool: Pool, begin: int) -> list[int]:
    """Return when each part of a pool begins: in order, on the worker that is free first."""
    free, begins = [begin] * pool.size, []
    for part in pool.parts:
        begins.append(free[0])
        heapreplace(free, end_of(part, free[0]))
    return begins


# ── the programs ──


class Runner:
    """Runs trees in a world, and notes when each call began and ended."""

    def __init__(
        self, world: World, *, eager: bool = False, elders: Elders | None = None, outside: Outside | None = None
    ) -> None:
        """`eager` starts tasks eagerly.

        `elders` are the older threads that a program may hand parts to, `outside` is what it waits for in reality.
        """
        self._world = world
        self._eager = eager
        self._elders = elders
        self._outside = outside
        self.spans: list[Span] = []

    def in_loop(self, tree: Tree) -> None:
        """Run a tree as tasks of a new loop."""
        with asyncio.Runner() as runner:
            if self._eager:
                runner.get_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - Python 3.12
            runner.run(self.in_tasks(tree))

    async def in_tasks(self, tree: Tree) -> None:  # one case for each kind of tree
        """Run a tree as tasks of the running loop."""
        match tree:
            case Call(ms):
                await self._acall(ms)
            case Sequence(parts):
                for part in parts:
                    await self.in_tasks(part)
            case Together(parts):
                await asyncio.gather(*map(self.in_tasks, parts))
            case Pool(size, parts):
                turns = asyncio.Semaphore(size)
                await asyncio.gather(*[self._in_turn(turns, part) for part in parts])
            case Race(parts):
                await self._race(parts)
            case Limit(ms, part):
                try:
                    async with asyncio.timeout(ms / 1000):
                        await self.in_tasks(part)
                except TimeoutError:
                    pass
            case Aside(part, older=False):
                await asyncio.to_thread(self.in_threads, part)
            case Aside(part):
                with self._others.one("older executor") as pool:
                    await asyncio.get_running_loop().run_in_executor(pool.executor, self.in_threads, part)
            case Late() | Handed() | Errand() | Real():
                raise TypeError("tasks have other means")

    def in_threads(self, tree: Tree) -> None:
        """Run a tree in the calling thread and in threads that it starts."""
        match tree:
            case Call(ms, how):
                begin = self._now
                WAITS[how](self._world, ms)
                self._note(begin)
            case Real(ms, how):
                assert self._outside is not None
                begin = self._now
                REAL_WAITS[how](self._outside, ms)
                self._note(begin)
            case Sequence(parts):
                for part in parts:
                    self.in_threads(part)
            case Together(parts):
                _joined(self.in_threads, parts)
            case Pool(size, parts, how) if how in POOLS:
                POOLS[how](size, self.in_threads, parts)
            case Late(ms, part):
                self._ask_early(ms, part)
            case Aside(part, older=False):
                self.in_loop(part)
            case Race() | Limit():
                raise TypeError("threads cannot be cancelled")
            case Pool() | Handed() | Errand() | Aside():
                self._with_help(tree)

    def _with_help(self, tree: Pool | Handed | Errand | Aside) -> None:
        match tree:
            case Pool(size, parts, how):
                with self._others.one(how, size) as pool:
                    pool.map(self.in_threads, parts)
            case Handed(part, how):
                with self._others.one(how) as elder:
                    elder.do(lambda: self.in_threads(part))
            case Errand():
                self._others.send()
            case Aside(part):
                with self._others.one(LOOP) as loop:
                    loop.run(self.in_tasks(part))

    async def _acall(self, ms: int) -> None:
        begin = self._now
        try:
            await self._world.async_sleep_until(self._instant(ms))
        finally:
            self._note(begin)

    async def _in_turn(self, turns: asyncio.Semaphore, part: Tree) -> None:
        async with turns:
            await self.in_tasks(part)

    async def _race(self, parts: Iterable[Tree]) -> None:
        tasks = [asyncio.create_task(self.in_tasks(part)) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ask_early(self, ms: int, part: Tree) -> None:
        with ThreadPoolExecutor(1) as pool:
            begin = self._now
            future = pool.submit(self.in_threads, part)
            try:
                future.result(timeout=ms / 1000)
            except TimeoutError:
                assert self._now == begin + ms
            future.result()

    @property
    def _others(self) -> Elders:
        assert self._elders is not None
        return self._elders

    @property
    def _now(self) -> int:
        return self._world.clock.now() // 1_000_000

    def _instant(self, ms: int) -> int:
        return self._world.clock.now() + ms * 1_000_000

    def _note(self, begin: int) -> None:
        if begin < self._now:
            self.spans.append((begin, self._now))


def _joined(run: Callable[[Tree], None], parts: Iterable[Tree]) -> None:
    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ── the strategies ──

_MS = st.integers(1, 40).map(lambda n: n * 50)  # few values, so that instants coincide
_CALLS = st.builds(Call, _MS)
_WAITS = st.builds(Call, _MS, st.sampled_from(sorted(WAITS)))
_REAL_WAITS = st.builds(Real, st.integers(2, 12), st.sampled_from(sorted(REAL_WAITS)))


def _parts(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[tuple[Tree, ...]]:
    return st.lists(trees, min_size=1, max_size=4).map(tuple)


def _common(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    parts = _parts(trees)
    return st.builds(Sequence, parts) | st.builds(Together, parts) | _pools(trees, POOLS)


def _pools(trees: st.SearchStrategy[Tree], kinds: Iterable[str]) -> st.SearchStrategy[Tree]:
    return st.builds(Pool, st.integers(1, 3), _parts(trees), st.sampled_from(sorted(kinds)))


def _of_tasks(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return _common(trees) | st.builds(Race, _parts(trees)) | st.builds(Limit, _MS, trees)


def _of_threads(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return _common(trees) | st.builds(Late, _MS, trees)


def _of_many_threads(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return _of_threads(trees) | st.builds(Handed, trees, st.sampled_from(CHANNELS)) | _pools(trees, OLDER_POOLS)


def task_trees() -> st.SearchStrategy[Tree]:
    """Return programs of one loop, with races and limits."""
    return st.recursive(_CALLS, _of_tasks, max_leaves=12)


def thread_trees() -> st.SearchStrategy[Tree]:
    """Return programs of threads and pools, some of them with a loop of their own."""
    leaves = _WAITS | st.builds(Aside, st.recursive(_CALLS, _of_tasks, max_leaves=4))
    return st.recursive(leaves, _of_threads, max_leaves=8)


def elder_trees() -> st.SearchStrategy[Tree]:
    """Return programs of threads that hand parts to older threads, pools and loops, and wait for a library's thread."""
    loops = st.builds(Aside, st.recursive(_CALLS, _of_tasks, max_leaves=4), st.booleans())
    return st.recursive(_WAITS | loops | st.builds(Errand), _of_many_threads, max_leaves=8)


def mixed_trees() -> st.SearchStrategy[Tree]:
    """Return programs of one loop that give work to threads. Nothing above a thread is cancelled: it would not stop."""
    leaves = _CALLS | st.builds(Aside, st.recursive(_WAITS, _of_threads, max_leaves=4))
    return st.recursive(leaves, _common, max_leaves=6)


def elder_task_trees() -> st.SearchStrategy[Tree]:
    """Return programs of one loop that give work to threads, of older pools too, which hand it on to older threads."""
    asides = st.builds(Aside, st.recursive(_WAITS | st.builds(Errand), _of_many_threads, max_leaves=4), st.booleans())
    return st.recursive(_CALLS | asides, _common, max_leaves=6)


def real_trees() -> st.SearchStrategy[Tree]:
    """Return programs of threads that wait in reality too, beside older threads and loops."""
    leaves = _WAITS | _REAL_WAITS | st.builds(Errand) | st.builds(Aside, real_task_trees(), st.booleans())
    return st.recursive(leaves, _of_many_threads, max_leaves=8)


def real_task_trees() -> st.SearchStrategy[Tree]:
    """Return programs of one loop whose threads wait in reality too."""
    asides = st.builds(Aside, _WAITS | _REAL_WAITS, st.booleans())
    return st.recursive(_CALLS | asides, _common, max_leaves=6)


def scaled(tree: Tree, factor: int) -> Tree:
    """Return the same program with longer calls: so long that no pause of the machine comes near."""
    changes: dict[str, Any] = {}
    if isinstance(tree, Call | Late | Limit):
        changes["ms"] = tree.ms * factor
    if isinstance(tree, Late | Limit | Aside | Handed):
        changes["part"] = scaled(tree.part, factor)
    if isinstance(tree, Sequence | Together | Pool | Race):
        changes["parts"] = tuple(scaled(part, factor) for part in tree.parts)
    return replace(tree, **changes)


def needs_of(tree: Tree) -> list[Need]:
    """Return what a program needs that is older than its world."""
    match tree:
        case Sequence(parts) | Together(parts) | Race(parts):
            needs: list[Need] = []
        case Pool(size, parts, how):
            needs = [] if how in POOLS else [(how, size)]
        case Handed(part, how):
            parts, needs = (part,), [(how, 1)]
        case Aside(part, older):
            parts, needs = (part,), [(LOOP, 1), ("older executor", 1)] if older else []
        case Late(_, part) | Limit(_, part):
            parts, needs = (part,), []
        case _:
            return []
    return [*needs, *chain.from_iterable(map(needs_of, parts))]
