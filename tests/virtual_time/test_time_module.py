from __future__ import annotations

import pickle
import subprocess
import threading
import time
from decimal import Decimal
from time import monotonic, perf_counter, sleep
from time import time as now
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.patches.exempt_callers import EXEMPT
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS

CLOCKS = [monotonic, perf_counter, now]
INTEGER_CLOCKS = [time.monotonic_ns, time.perf_counter_ns, time.time_ns]


@pytest.mark.parametrize("clock", INTEGER_CLOCKS)
def test_integer_clocks_follow_to_the_nanosecond(world: World, clock: object) -> None:
    assert callable(clock)
    before = clock()
    sleep(3600)

    assert clock() - before == 3600 * SECOND


@pytest.mark.parametrize("clock", CLOCKS)
def test_float_clocks_follow_to_the_microsecond(world: World, clock: object) -> None:
    assert callable(clock)
    before = clock()
    sleep(2)

    assert clock() - before == pytest.approx(2, abs=1e-6)


@given(
    start=st.integers(0, 10**8),
    waits=st.lists(st.integers(1, 10**9), min_size=1, max_size=8),
    clock=st.sampled_from(CLOCKS),
)
def test_after_any_wait_each_clock_says_that_its_time_has_passed(start: int, waits: list[int], clock: object) -> None:
    """With rounding alone a clock would sometimes deny it, depending on the machine's uptime and on the date."""
    assert callable(clock)
    world = World(VirtualClock(start * 1000), name="any waits")
    world.enter()
    try:
        before = clock()
        for micros in waits:
            sleep(micros / 1e6)

        assert clock() >= before + sum(waits) / 1e6
    finally:
        world.leave()


@given(st.integers(1, 10**9), st.integers(1, 300))
@example(limit=2, reads=1)
def test_sleeping_for_the_rest_of_a_limit_ends_at_the_limit(limit: int, reads: int) -> None:
    world = World(VirtualClock(), name="a limit")
    world.enter()
    try:
        deadline = monotonic() + limit / 1e6
        for _ in range(reads):
            sleep(1e-6)
            monotonic()
        sleep(max(0, deadline - monotonic()))

        assert world.clock.now() == max(limit, reads) * 1000
    finally:
        world.leave()


def test_a_sleep_below_a_microsecond_still_moves_the_clock(world: World) -> None:
    sleep(1e-10)

    assert world.clock.now() == 1


@pytest.mark.parametrize("bad", [-1, -0.5, float("nan")])
def test_a_negative_sleep_is_refused(world: World, bad: float) -> None:
    with pytest.raises(ValueError, match="sleep length must be non-negative"):
        sleep(bad)


@pytest.mark.parametrize("bad", ["1", None, Decimal(1)])
def test_a_sleep_for_something_other_than_a_number_is_refused(world: World, bad: object) -> None:
    with pytest.raises(TypeError):
        sleep(bad)  # type: ignore[arg-type]


def test_functions_stored_in_a_class_do_not_become_methods(world: World) -> None:
    class Stopwatch:
        clock: Any = time.monotonic
        rest: Any = time.sleep

    before = Stopwatch().clock()
    Stopwatch().rest(1)

    assert Stopwatch().clock() - before == pytest.approx(1)


def test_functions_pickle_by_name() -> None:
    assert pickle.loads(pickle.dumps(time.sleep)) is time.sleep


def test_calendar_functions_follow_the_clock(world: World) -> None:
    before = time.mktime(time.localtime())
    sleep(86400)

    assert time.mktime(time.localtime()) - before == 86400
    assert time.strftime("%Y-%m-%d") == time.strftime("%Y-%m-%d", time.localtime())
    assert time.ctime() == time.asctime() == time.ctime(int(now()))
    assert time.gmtime(0).tm_year == 1970


def test_outsiders_see_the_time_of_the_machine(world: World) -> None:
    seen: list[float] = []
    done = real_clock.allocate_lock()
    done.acquire()

    def look() -> None:
        seen.append(monotonic() - real_clock.monotonic())
        done.release()

    lead = LEADS.latest.monotonic / SECOND
    sleep(3600)

    real_clock.start_new_thread(look, ())
    done.acquire()

    assert abs(seen[0] - lead) < 60


@pytest.mark.parametrize("package", sorted(EXEMPT))
def test_exempt_callers_see_the_time_of_the_machine(world: World, package: str) -> None:
    sleep(3600)
    scope = {"__name__": f"{package}.inner"}

    exec("import time; seen = time.monotonic()", scope)

    assert abs(float(scope["seen"]) - real_clock.monotonic()) < 60


def test_after_a_world_time_passes_as_the_machines_again() -> None:
    world = World(VirtualClock(), name="long")
    world.enter()
    sleep(3600)
    world.leave()
    before, lead = real_clock.monotonic_ns(), monotonic() - real_clock.monotonic()
    sleep(0.01)

    assert real_clock.monotonic_ns() - before >= SECOND // 100
    assert monotonic() - real_clock.monotonic() == pytest.approx(lead, abs=1)


def test_no_world_reads_earlier_than_the_one_before() -> None:
    readings = []
    for name in ("first", "second"):
        world = World(VirtualClock(), name=name)
        world.enter()
        readings.append(monotonic())
        sleep(3600)
        readings.append(monotonic())
        world.leave()

    assert readings == sorted(readings)


def test_a_program_that_only_reads_the_clock_sees_it_move(world: World) -> None:
    deadline = monotonic() + 0.002
    while monotonic() < deadline:
        pass

    assert 0.002 <= world.clock.now() / SECOND < 0.0021


def test_a_program_that_only_reads_the_clock_lets_sleepers_wake_in_time(world: World) -> None:
    woken: list[int] = []

    def nap() -> None:
        sleep(0.001)
        woken.append(world.clock.now())

    thread = threading.Thread(target=nap)
    thread.start()
    deadline = monotonic() + 0.002
    while monotonic() < deadline:
        pass
    thread.join()

    assert woken == [1_000_000]


def test_a_program_that_sleeps_for_zero_seconds_again_and_again_sees_the_clock_move(world: World) -> None:
    event = threading.Event()
    timer = threading.Timer(0.001, event.set)
    timer.start()
    while not event.is_set():
        sleep(0)

    assert world.clock.now() == 1_000_000


def test_waiting_for_a_process_is_real(world: World) -> None:
    process = subprocess.Popen(["sleep", "0.05"])

    assert process.wait(timeout=60) == 0
    assert world.clock.now() == 0
