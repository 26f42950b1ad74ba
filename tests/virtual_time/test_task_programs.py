"""Random programs of tasks do the same at the same instants as on a loop without this package."""

from __future__ import annotations

import asyncio
import sys
import threading
from random import Random

import pytest

from pytest_claude_latency import virtual_time
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.clock import VirtualClock
from tests.support.task_programs import Events, Part, SteppingLoop, a_program, events_of

EAGER = [False, pytest.param(True, marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="needs eager tasks"))]
SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 200))]

virtual_time.install()


def on_a_stepping_loop(program: Part, *, eager: bool) -> Events:
    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        return runner.run(events_of(program, asyncio.sleep, eager=eager))


def in_a_world(programs: list[Part], *, eager: bool) -> list[Events]:
    """Run the programs at the same time, each in a thread with a loop."""
    world = virtual_time.World(VirtualClock(), name="programs of tasks")
    found: list[Events] = [{} for _ in programs]

    async def answer(seconds: float) -> None:
        await world.async_sleep_until(world.clock.now() + round(seconds * SECOND))

    def run(number: int) -> None:
        found[number] = asyncio.run(events_of(programs[number], answer, eager=eager))

    world.enter()
    try:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(programs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        world.leave()
    return found


@pytest.mark.parametrize("eager", EAGER)
@pytest.mark.parametrize("seed", SEEDS)
def test_programs_of_tasks_do_what_they_do_on_a_loop_of_asyncio(seed: int, eager: bool) -> None:
    programs = [a_program(Random(f"{seed}.{number}")) for number in range(3)]
    alone = [on_a_stepping_loop(program, eager=eager) for program in programs]

    for number, events in enumerate(in_a_world(programs, eager=eager)):
        assert events.keys() == alone[number].keys()
        for path, noted in events.items():
            assert [event for _, event in noted] == [event for _, event in alone[number][path]]
            # A loop is late by the resolution of its clock, each time that it waits.
            assert [when for when, _ in noted] == pytest.approx([when for when, _ in alone[number][path]], abs=1e-4)
