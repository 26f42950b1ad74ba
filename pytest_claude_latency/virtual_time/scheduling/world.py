"""The state of a world: the time one latency test lives in.

A world on a `VirtualClock` has a schedule that moves the clock as its members
wait. A world on another clock only keeps track of who belongs to it: its
members really wait. What starts and ends a world is `lifecycle.World`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_claude_latency.virtual_time.scheduling.holds import Holds

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.clock import Clock
    from pytest_claude_latency.virtual_time.scheduling.clock_readings import ClockReadings
    from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule


class WorldState:
    """What the members of one world share.

    `schedule` and `readings` are None in a world of real time, and before the world is entered. `deadlock` is the
    message about the deadlock that the program ran into, None if it ran into none. `offset` is how far the calendar
    of a world of real time is ahead of the machine's, in nanoseconds. `holds` are the stretches in which the program
    held one of its threads.
    """

    def __init__(self, clock: Clock, name: str) -> None:
        self.clock = clock
        self.name = name
        self.ended = False
        self.schedule: Schedule | None = None
        self.readings: ClockReadings | None = None
        self.deadlock: str | None = None
        self.offset: Nanoseconds = 0
        self.holds = Holds()
