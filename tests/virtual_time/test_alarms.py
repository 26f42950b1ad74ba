from __future__ import annotations

from asyncio import Future, new_event_loop
from collections.abc import Iterator

import pytest

from pytest_claude_latency.virtual_time.patches.loops.alarms import Alarms


class Sleeper:
    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = False

    def done(self) -> bool:
        return self.cancelled


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def alarms(woken: list[str]) -> Alarms[Sleeper]:
    return Alarms(wake=lambda sleeper: woken.append(sleeper.name))


def test_alarms_ring_in_the_order_of_their_instants(alarms: Alarms[Sleeper], woken: list[str]) -> None:
    for instant, name in ((30, "third"), (10, "first"), (20, "second"), (40, "not yet")):
        alarms.add(instant, Sleeper(name))

    alarms.ring(30)

    assert woken == ["first", "second", "third"]
    assert alarms.first() == 40


def test_alarms_at_one_instant_ring_in_the_order_in_which_they_were_set(
    alarms: Alarms[Sleeper], woken: list[str]
) -> None:
    for name in ("b", "a", "c"):
        alarms.add(10, Sleeper(name))

    alarms.ring(10)

    assert woken == ["b", "a", "c"]


def test_a_cancelled_alarm_does_not_ring_and_is_not_the_first(alarms: Alarms[Sleeper], woken: list[str]) -> None:
    cancelled = Sleeper("cancelled")
    alarms.add(10, cancelled)
    alarms.add(20, Sleeper("asleep"))
    cancelled.cancelled = True

    assert alarms.first() == 20
    alarms.ring(20)
    assert woken == ["asleep"]
    assert alarms.first() is None


@pytest.mark.parametrize(
    ("hold", "rings"),
    [((10, 100), True), ((0, 99), True), ((40, 100), False), ((0, 60), False), ((10, 10), False)],
)
def test_a_hold_as_long_as_an_alarm_is_late_rings_it_at_its_end(
    alarms: Alarms[Sleeper], woken: list[str], hold: tuple[int, int], rings: bool
) -> None:
    alarms.add(104, Sleeper("late"), since=10)
    alarms.add(104, Sleeper("in time"))

    alarms.hold(*hold)
    alarms.ring(hold[1])

    assert woken == (["late"] if rings else [])
    assert alarms.is_there(104, 10) is rings
    alarms.ring(104)
    assert woken[-1] == "in time"


@pytest.fixture
def future() -> Iterator[Future[None]]:
    loop = new_event_loop()
    yield loop.create_future()
    loop.close()


def test_a_future_of_asyncio_can_be_an_alarm(future: Future[None]) -> None:
    alarms: Alarms[Future[None]] = Alarms(wake=lambda future: future.set_result(None))
    alarms.add(10, future)

    alarms.ring(10)

    assert future.done()
