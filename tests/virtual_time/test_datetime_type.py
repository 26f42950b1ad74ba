from __future__ import annotations

import pickle
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from time import sleep, time

import pytest

from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock

NEW_YEAR = datetime(2031, 1, 1, 12, tzinfo=UTC)


def test_now_follows_the_clock(world: World) -> None:
    before = datetime.now()
    sleep(90061.5)

    assert datetime.now() - before == timedelta(days=1, hours=1, minutes=1, seconds=1, milliseconds=500)


def test_now_in_a_zone_follows_the_clock(world: World) -> None:
    before = datetime.now(UTC)
    sleep(1)

    assert datetime.now(timezone(timedelta(hours=5))) - before == timedelta(seconds=1)


def test_today_follows_the_clock(world: World) -> None:
    before = date.today()
    sleep(86400)

    assert date.today() - before == timedelta(days=1)
    assert datetime.today().date() == date.today()


@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
def test_utcnow_follows_the_clock(world: World) -> None:
    before = datetime.utcnow()
    sleep(1)

    assert datetime.utcnow() - before == timedelta(seconds=1)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="not deprecated yet")
def test_utcnow_is_still_deprecated(world: World) -> None:
    with pytest.warns(DeprecationWarning, match="utcnow") as warned:
        datetime.utcnow()

    assert warned[0].filename == __file__


def test_datetime_and_time_agree(world: World) -> None:
    assert abs(datetime.now(UTC).timestamp() - time()) < 1e-3


def test_the_calendar_starts_now_by_default() -> None:
    outside = datetime.now(UTC)
    world = World(VirtualClock(), name="now")
    world.enter()
    inside = datetime.now(UTC)
    world.leave()

    assert timedelta(0) <= inside - outside < timedelta(minutes=1)


def test_the_calendar_starts_at_the_date_given() -> None:
    world = World(VirtualClock(), name="then", date=NEW_YEAR)
    world.enter()
    sleep(2)
    inside = datetime.now(UTC)
    world.leave()

    assert inside == NEW_YEAR + timedelta(seconds=2)


def test_the_type_stays_the_type(world: World) -> None:
    class Mine(datetime):
        pass

    assert type(datetime.now()) is datetime
    assert type(Mine.now()) is Mine
    assert pickle.loads(pickle.dumps(datetime.now())).__class__ is datetime


def test_after_a_world_the_calendar_is_the_machines_again() -> None:
    world = World(VirtualClock(), name="then", date=NEW_YEAR)
    world.enter()
    world.leave()

    assert datetime.now(UTC) < NEW_YEAR
