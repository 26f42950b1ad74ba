from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import example, given, settings

from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock
from tests.support.program_trees import (
    Aside,
    Call,
    Late,
    Limit,
    Pool,
    Race,
    Runner,
    Sequence,
    Span,
    Together,
    Tree,
    end_of,
    mixed_trees,
    spans_of,
    task_trees,
    thread_trees,
)

virtual_time.install()


def lived(run: Callable[[Runner], object]) -> tuple[int, list[Span]]:
    """When a program ended, in milliseconds, and when its calls began and ended."""
    world = virtual_time.World(VirtualClock(), name="a random program")
    world.enter()
    try:
        runner = Runner(world)
        run(runner)
        return world.clock.now() // 1_000_000, sorted(runner.spans)
    finally:
        world.leave()


def expected(tree: Tree) -> tuple[int, list[Span]]:
    return end_of(tree), sorted(spans_of(tree))


@settings(max_examples=150, deadline=None)
@given(task_trees())
@example(Limit(50, Sequence((Call(50), Call(50)))))
@example(Race((Call(100), Limit(100, Call(150)), Pool(1, (Call(50), Call(50), Call(50))))))
def test_any_program_of_tasks_takes_the_time_it_would_take(tree: Tree) -> None:
    assert lived(lambda runner: asyncio.run(runner.in_tasks(tree))) == expected(tree)


@settings(max_examples=80, deadline=None)
@given(thread_trees())
@example(Pool(2, (Call(500), Call(100), Call(100), Call(100))))
@example(Together((Late(50, Call(50)), Aside(Race((Call(50), Call(100)))))))
def test_any_program_of_threads_takes_the_time_it_would_take(tree: Tree) -> None:
    assert lived(lambda runner: runner.in_threads(tree)) == expected(tree)


@settings(max_examples=80, deadline=None)
@given(mixed_trees())
@example(Together((Aside(Call(100)), Call(50), Aside(Pool(2, (Call(50), Call(50), Call(50)))))))
def test_any_program_of_tasks_and_threads_takes_the_time_it_would_take(tree: Tree) -> None:
    assert lived(lambda runner: asyncio.run(runner.in_tasks(tree))) == expected(tree)
