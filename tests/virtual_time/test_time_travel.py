"""time-machine and virtual time: no crash in any order, travelled dates win, durations are the world's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.scheduling import real_clock

time_machine = pytest.importorskip("time_machine")

THEN = datetime(2020, 1, 1, tzinfo=UTC)

DATES: dict[str, Callable[[], float]] = {
    "time": time.time,
    "time_ns": lambda: time.time_ns() / 1e9,
    "clock_gettime": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "localtime": lambda: time.mktime(time.localtime()),
    "datetime.now": lambda: datetime.now(UTC).timestamp(),
    "datetime.utcnow": lambda: datetime.utcnow().replace(tzinfo=UTC).timestamp(),
    "datetime.today": lambda: datetime.today().timestamp(),
    "uuid1": lambda: (uuid.uuid1().time - 0x01B21DD213814000) / 1e7,
}

INSTALL = """
from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock
virtual_time.install()
"""
LIVE = """
world = virtual_time.World(VirtualClock(), name="before")
world.enter()
import time
time.sleep(3600)
world.leave()
"""
TRAVEL = """
import time_machine, datetime, time
with time_machine.travel("2020-01-01T00:00:00Z", tick=False):
    print(time.time(), datetime.datetime.now(datetime.UTC).year, datetime.date.today().year, time.gmtime().tm_year)
print(datetime.datetime.now(datetime.UTC).year > 2020, time.time() > 1577836800)
"""


@pytest.mark.parametrize(
    "steps",
    [
        (INSTALL, TRAVEL),
        (TRAVEL, INSTALL, TRAVEL),
        (INSTALL, LIVE, TRAVEL),
        (INSTALL, TRAVEL, LIVE, TRAVEL),
        ("import time_machine", INSTALL, LIVE, TRAVEL),
    ],
)
def test_travelling_outside_of_worlds_is_as_without_the_plugin(steps: tuple[str, ...]) -> None:
    source = "\n".join(map(textwrap.dedent, steps))
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)

    assert done.stdout.splitlines()[-2:] == ["1577836800.0 2020 2020 2020", "True True"]


@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
@pytest.mark.parametrize("name", DATES)
def test_in_a_world_travelled_dates_win(world: World, name: str) -> None:
    with time_machine.travel(THEN, tick=False):
        travelled = DATES[name]()
        time.sleep(60)
        later = DATES[name]()
    back = DATES[name]()

    assert travelled == pytest.approx(THEN.timestamp(), abs=1e-5)
    assert later == pytest.approx(THEN.timestamp(), abs=1e-5)
    assert back > THEN.timestamp() + 1e6


@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
@pytest.mark.parametrize("name", DATES)
def test_a_travel_ticks_with_the_world(world: World, name: str) -> None:
    with time_machine.travel(THEN):
        before = DATES[name]()
        time.sleep(60)
        after = DATES[name]()

    assert before == pytest.approx(THEN.timestamp(), abs=1e-5)
    assert after == pytest.approx(THEN.timestamp() + 60, abs=1e-5)


def test_a_travel_moves_on_in_a_world(world: World) -> None:
    with time_machine.travel(THEN) as traveller:
        assert date.today().isoformat() == "2020-01-01"  # it begins to tick when somebody asks for the first time
        time.sleep(86400)
        assert date.today().isoformat() == "2020-01-02"
        traveller.shift(timedelta(days=1))
        assert date.today().isoformat() == "2020-01-03"
        traveller.move_to(THEN)

        assert datetime.now(UTC) == THEN


def test_durations_in_a_travel_are_virtual(world: World) -> None:
    with time_machine.travel(THEN, tick=False):
        before = time.monotonic()
        time.sleep(3600)

        assert time.monotonic() - before == pytest.approx(3600)


def test_all_threads_see_one_travelled_date(world: World) -> None:
    seen: list[datetime] = []
    with time_machine.travel(THEN):
        seen.append(datetime.now(UTC))
        time.sleep(1)
        thread = threading.Thread(target=lambda: seen.append(datetime.now(UTC)))
        thread.start()
        thread.join()

    assert seen == [THEN, THEN + timedelta(seconds=1)]


def test_a_travel_longer_than_a_world_leaves_no_trace_in_the_calendar() -> None:
    before = time.time()
    world = World(VirtualClock(), name="travelled")
    with time_machine.travel(THEN):
        world.enter()
        time.sleep(1)
        in_world = datetime.now(UTC)
        world.leave()
        after = datetime.now(UTC)

    assert THEN <= in_world <= after < THEN + timedelta(minutes=1)
    assert before <= time.time() < before + 60


def test_the_machines_own_clocks_do_not_travel() -> None:
    machine = real_clock.time_ns(), real_clock.monotonic_ns()
    with time_machine.travel(THEN):
        travelling = real_clock.time_ns(), real_clock.monotonic_ns()

    assert all(0 <= now - before < 60 * 10**9 for before, now in zip(machine, travelling, strict=True))
