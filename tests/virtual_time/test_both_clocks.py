"""The same programs with real waits: they take the time that virtual time says, plus what the machine needs."""

from __future__ import annotations

import pytest

from pytest_claude_latency import virtual_time
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.clock import WallClock
from tests.support.virtual_time_programs import PROGRAMS, Program, Waits

SCALE = 0.04  # real seconds for each second of a program
SLACK = 2.0  # real seconds that a loaded machine may add; a program whose calls did not overlap would add more
TRIED = {"gathered_calls", "a_semaphore_of_two", "calls_in_threads_of_the_loop", "a_pool_of_two", "threads_joined"}


class ScaledWaits(Waits):
    """Calls that take a small part of their time."""

    def call(self, seconds: float) -> float:
        super().call(seconds * SCALE)
        return seconds

    async def acall(self, seconds: float) -> float:
        await super().acall(seconds * SCALE)
        return seconds


@pytest.mark.parametrize(
    "program", [program for program in PROGRAMS if program.name in TRIED], ids=lambda program: program.name
)
def test_real_waits_take_the_time_that_virtual_ones_say(program: Program) -> None:
    world = virtual_time.World(WallClock(), name=program.name)
    world.enter()
    try:
        before = world.clock.now()
        program.body(ScaledWaits(world))
        took = (world.clock.now() - before) / SECOND
    finally:
        world.leave()

    assert program.run() * SCALE <= took < program.run() * SCALE + SLACK
