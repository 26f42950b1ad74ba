"""What reads a clock in Python without one of the usual functions: it follows too."""

from __future__ import annotations

import email.utils
import logging
import sys
import time
import timeit
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock

pytestmark = pytest.mark.skipif(not hasattr(time, "clock_gettime"), reason="this system has no such clocks")

HOUR = 3600 * 10**9
NAMES = ("REALTIME", "TAI", "MONOTONIC", "MONOTONIC_RAW", "BOOTTIME")
CLOCKS = {name: getattr(time, f"CLOCK_{name}") for name in NAMES if hasattr(time, f"CLOCK_{name}")}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_each_clock_follows_to_the_nanosecond(world: World, clock: int) -> None:
    before, in_seconds = time.clock_gettime_ns(clock), time.clock_gettime(clock)
    time.sleep(3600)

    assert isinstance(before, int)
    assert time.clock_gettime_ns(clock) - before == HOUR
    assert time.clock_gettime(clock) - in_seconds == pytest.approx(3600, abs=1e-5)


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_no_clock_goes_back_when_a_world_ends(clock: int) -> None:
    before = time.clock_gettime_ns(clock)
    world = World(VirtualClock(), name="clocks")
    world.enter()
    first = time.clock_gettime_ns(clock)
    time.sleep(3600)
    last = time.clock_gettime_ns(clock)
    world.leave()

    assert before <= first < last <= time.clock_gettime_ns(clock)


def test_a_clock_agrees_with_the_function_that_reads_it(world: World) -> None:
    assert time.clock_gettime_ns(time.CLOCK_MONOTONIC) == time.monotonic_ns()
    assert time.clock_gettime(time.CLOCK_MONOTONIC) == time.monotonic()
    assert time.clock_gettime_ns(time.CLOCK_REALTIME) == time.time_ns()
    assert time.clock_gettime(time.CLOCK_REALTIME) == time.time()


@pytest.mark.parametrize("clock", [time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID])
def test_what_a_processor_did_is_the_machines(world: World, clock: int) -> None:
    before = time.clock_gettime_ns(clock), time.process_time_ns(), time.thread_time_ns()
    time.sleep(3600)
    after = time.clock_gettime_ns(clock), time.process_time_ns(), time.thread_time_ns()

    assert all(later - earlier < HOUR // 2 for earlier, later in zip(before, after, strict=True))


def test_a_clock_that_does_not_exist_is_refused(world: World) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        time.clock_gettime(12345)


def _logged() -> float:
    return logging.LogRecord("name", logging.INFO, __file__, 1, "text", (), None).created


READINGS: dict[str, Callable[[], float]] = {
    "uuid1": lambda: uuid.uuid1().time / 1e7,
    "email.utils.formatdate": lambda: email.utils.parsedate_to_datetime(email.utils.formatdate()).timestamp(),
    "email.utils.localtime": lambda: email.utils.localtime().timestamp(),
    "email.utils.make_msgid": lambda: int(email.utils.make_msgid().strip("<").partition(".")[0]) / 100,
    "logging": _logged,
    "timeit": timeit.default_timer,
    "strftime": lambda: datetime.strptime(time.strftime("%Y-%m-%d %H:%M:%S"), "%Y-%m-%d %H:%M:%S").timestamp(),
}
if sys.version_info >= (3, 14):
    READINGS["uuid6"] = lambda: uuid.uuid6().time / 1e7
    READINGS["uuid7"] = lambda: uuid.uuid7().time / 1e3


@pytest.mark.parametrize("name", READINGS)
def test_the_standard_library_follows(world: World, name: str) -> None:
    before = READINGS[name]()
    time.sleep(3600)

    assert READINGS[name]() - before == pytest.approx(
        3600, abs=1.1 if name in {"email.utils.formatdate", "strftime"} else 0.02
    )


def test_uuids_of_one_instant_differ(world: World) -> None:
    assert len({uuid.uuid1() for _ in range(100)}) == 100


def test_a_uuid_asks_no_generator_of_the_program(world: World) -> None:
    import random

    state = random.getstate()
    uuid.uuid1()

    assert random.getstate() == state


def test_uuids_hold_the_date_that_a_test_has_set() -> None:
    uuid.uuid1()
    world = World(VirtualClock(), name="then", date=datetime(2001, 1, 1, tzinfo=UTC))
    world.enter()
    in_world = (uuid.uuid1().time - 0x01B21DD213814000) / 1e7
    world.leave()

    assert in_world == pytest.approx(datetime(2001, 1, 1, tzinfo=UTC).timestamp(), abs=1e-3)
    assert (uuid.uuid1().time - 0x01B21DD213814000) / 1e7 > in_world + 1e8
