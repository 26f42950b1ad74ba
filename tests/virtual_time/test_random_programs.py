from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given, settings

from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.scheduling import real_clock
from tests.support.program_elders import Elders
from tests.support.program_threads import Outside
from tests.support.program_trees import (
    Aside,
    Call,
    Errand,
    Handed,
    Late,
    Limit,
    Pool,
    Race,
    Real,
    Runner,
    Sequence,
    Span,
    Together,
    Tree,
    elder_task_trees,
    elder_trees,
    end_of,
    mixed_trees,
    needs_of,
    real_task_trees,
    real_trees,
    scaled,
    spans_of,
    task_trees,
    thread_trees,
)
from tests.support.properties import examples

virtual_time.install()


# By hand, `RANDOM_PROGRAMS=20 pytest …` tries twenty times as many.
MORE = int(os.environ.get("RANDOM_PROGRAMS", "1"))

Outcome: TypeAlias = tuple[int, list[Span]]


def lived(run: Callable[[Runner], object], **means: Any) -> Outcome:
    """When a program ended, in milliseconds, and when its calls began and ended; `means` are those of its runner."""
    world = virtual_time.World(VirtualClock(), name="a random program")
    world.enter()
    try:
        runner = Runner(world, **means)
        run(runner)
        return world.clock.now() // 1_000_000, sorted(runner.spans)
    finally:
        world.leave()


def expected(tree: Tree) -> Outcome:
    return end_of(tree), sorted(spans_of(tree))


@examples(150 * MORE)
@given(task_trees())
@example(Limit(50, Sequence((Call(50), Call(50)))))
@example(Race((Call(100), Limit(100, Call(150)), Pool(1, (Call(50), Call(50), Call(50))))))
def test_any_program_of_tasks_takes_the_time_it_would_take(tree: Tree) -> None:
    assert lived(lambda runner: runner.in_loop(tree)) == expected(tree)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs eager tasks")
@examples(80 * MORE)
@given(task_trees())
@example(Together((Call(150), Call(100), Call(50))))
@example(Together((Race((Call(100), Call(50))), Limit(50, Together((Call(100), Call(50)))))))
def test_any_program_of_eager_tasks_takes_the_time_it_would_take(tree: Tree) -> None:
    assert lived(lambda runner: runner.in_loop(tree), eager=True) == expected(tree)


@examples(80 * MORE)
@given(thread_trees())
@example(Pool(2, (Call(500), Call(100), Call(100), Call(100))))
@example(Pool(2, (Call(500), Call(100, "lock"), Call(100, "event"), Call(100, "simple queue")), "thread pool"))
@example(Together((Late(50, Call(50)), Aside(Race((Call(50), Call(100)))))))
def test_any_program_of_threads_takes_the_time_it_would_take(tree: Tree) -> None:
    assert lived(lambda runner: runner.in_threads(tree)) == expected(tree)


@examples(80 * MORE)
@given(mixed_trees())
@example(Together((Aside(Call(100)), Call(50), Aside(Pool(2, (Call(50), Call(50), Call(50)))))))
def test_any_program_of_tasks_and_threads_takes_the_time_it_would_take(tree: Tree) -> None:
    assert lived(lambda runner: runner.in_loop(tree)) == expected(tree)


@examples(40 * MORE)
@given(elder_trees())
@example(Together((Handed(Call(50), "simple queue"), Errand(), Call(100))))
@example(Sequence((Handed(Handed(Call(50), "pipe"), "event"), Errand(), Late(50, Call(100, "lock")))))
@example(Sequence((Pool(2, (Call(50), Call(100)), "older executor"), Pool(2, (Call(50),) * 3, "older executor"))))
@example(Together((Pool(2, (Call(50), Call(100)), "older thread pool"), Aside(Call(50), older=True))))
def test_any_program_that_is_helped_by_older_threads_takes_the_time_it_would_take(tree: Tree) -> None:
    check_helped(tree, Runner.in_threads)


@examples(40 * MORE)
@given(elder_task_trees())
@example(Together((Aside(Pool(2, (Call(50), Call(100)), "older thread pool"), older=True), Call(50))))
def test_any_program_of_tasks_that_is_helped_by_older_threads_takes_the_time_it_would_take(tree: Tree) -> None:
    check_helped(tree, Runner.in_loop)


def check_helped(tree: Tree, run: Callable[[Runner, Tree], object]) -> None:
    """Run a program that hands parts to threads, pools and loops that are older than its world."""
    long = scaled(tree, 100)
    elders = Elders(needs_of(long))
    try:
        assert lived(lambda runner: run(runner, long), elders=elders) == expected(long)
    finally:
        elders.stop()


def check_real_limits(tree: Tree, run: Callable[[Runner, Tree], object], *, eager: bool = False) -> None:
    """Run a program that waits in reality too: its clock gains each limit that passes.

    While one thread waits so, another may be late by what it computes meanwhile: by less than the machine was busy.
    """
    long = scaled(tree, 100)
    elders, outside = Elders(needs_of(long)), Outside()
    began = real_clock.monotonic_ns()
    try:
        outcome = lived(lambda runner: run(runner, long), eager=eager, elders=elders, outside=outside)
    finally:
        elders.stop()
        outside.close()
    spent = (real_clock.monotonic_ns() - began) // 1_000_000 + 1
    for found, least in zip(edges_of(outcome), edges_of(expected(long)), strict=True):
        assert least <= found <= least + spent


def edges_of(outcome: Outcome) -> list[int]:
    """When a program ended, when its calls began, and when they ended, each in order."""
    end, spans = outcome
    return [end, *sorted(begin for begin, _ in spans), *sorted(end for _, end in spans)]


SAME_EACH_TIME = settings(derandomize=True, max_examples=5 * MORE)
MANY = settings(derandomize=True, max_examples=100 * MORE)
EAGER = sys.version_info >= (3, 12)


@SAME_EACH_TIME
@given(real_trees())
@example(Together((Real(10, "selector"), Handed(Real(4, "deadline"), "pipe"), Late(50, Call(100, "file")), Errand())))
@example(Pool(2, (Real(12, "receive"), Real(5, "signal"), Call(50), Real(3, "event of processes"))))
def test_any_program_of_threads_gains_the_limits_that_pass_in_reality(tree: Tree) -> None:
    check_real_limits(tree, Runner.in_threads)


@SAME_EACH_TIME
@given(real_task_trees())
@example(Together((Aside(Real(10, "poll")), Call(50), Aside(Real(5, "end of a process")))))
def test_any_program_of_tasks_gains_the_limits_that_pass_in_reality(tree: Tree) -> None:
    check_real_limits(tree, Runner.in_loop, eager=EAGER)


@pytest.mark.slow
@MANY
@given(real_trees())
def test_many_programs_of_threads_gain_the_limits_that_pass_in_reality(tree: Tree) -> None:
    check_real_limits(tree, Runner.in_threads)


@pytest.mark.slow
@MANY
@given(real_task_trees())
def test_many_programs_of_tasks_gain_the_limits_that_pass_in_reality(tree: Tree) -> None:
    check_real_limits(tree, Runner.in_loop, eager=EAGER)
