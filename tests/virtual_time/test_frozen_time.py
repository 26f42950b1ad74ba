"""freezegun, and tests that put something of their own into `time`: both mean what they mean without the plugin."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from pytest_claude_latency.virtual_time import World

freezegun = pytest.importorskip("freezegun")

INSTALL = """
from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock
virtual_time.install()
"""
COPIES = """
import sys, types
app = sys.modules["app"] = types.ModuleType("app")
exec("from time import sleep, monotonic, time as now", app.__dict__)
"""
FREEZE = """
import freezegun, datetime, time
with freezegun.freeze_time("2020-01-01"):
    assert (time.time(), datetime.datetime.now().year) == (1577836800.0, 2020)
"""
LIVE = """
import time
world = virtual_time.World(VirtualClock(), name="live")
world.enter()
before = time.monotonic()
time.sleep(3600)
assert 3600 <= time.monotonic() - before < 3600.01
world.leave()
"""
LIVE_WITH_COPIES = """
world = virtual_time.World(VirtualClock(), name="live")
world.enter()
before = app.monotonic()
app.sleep(3600)
assert 3600 <= app.monotonic() - before < 3600.01
with freezegun.freeze_time("2020-01-01"):
    assert app.now() == 1577836800.0
world.leave()
"""


@pytest.mark.parametrize(
    "steps",
    [
        (INSTALL, FREEZE, LIVE, FREEZE, LIVE),
        ("import freezegun", INSTALL, FREEZE, LIVE, FREEZE, LIVE),
        (FREEZE, INSTALL, LIVE, FREEZE, LIVE),
        (COPIES, "import freezegun", INSTALL, FREEZE, LIVE_WITH_COPIES),
        (COPIES, INSTALL, "import freezegun", LIVE_WITH_COPIES),
    ],
)
def test_freezegun_and_worlds_follow_each_other_in_any_order(steps: tuple[str, ...]) -> None:
    source = "\n".join(map(textwrap.dedent, steps))
    done = subprocess.run([sys.executable, "-c", source], check=False, capture_output=True, text=True)

    assert done.stderr == ""


def test_frozen_dates_stand_still_in_a_world(world: World) -> None:
    with freezegun.freeze_time("2020-01-01"):
        time.sleep(60)
        seen = time.time(), datetime.now(), time.monotonic()

    assert seen == (1577836800.0, datetime(2020, 1, 1), 1577836800.0)
    assert world.clock.now() == 60 * 10**9


def test_frozen_dates_tick_with_the_world(world: World) -> None:
    with freezegun.freeze_time("2020-01-01", tick=True):
        before = datetime.now()
        time.sleep(60)

        assert datetime.now() - before == timedelta(seconds=60)


def test_frozen_dates_tick_at_each_look(world: World) -> None:
    with freezegun.freeze_time("2020-01-01", auto_tick_seconds=15):
        before = time.time()
        time.sleep(60)

        assert time.time() - before == 15


@pytest.mark.parametrize("options", [{}, {"tick": True}, {"real_asyncio": True}])
def test_tasks_sleep_in_virtual_time_under_frozen_dates(world: World, options: dict[str, Any]) -> None:
    async def main() -> None:
        with freezegun.freeze_time("2020-01-01", **options):
            await asyncio.sleep(60)

    asyncio.run(main())

    assert world.clock.now() == 60 * 10**9


def test_what_a_test_puts_into_time_stays_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "time", lambda: 5.0)
    time.sleep(60)

    assert slept == [60]
    assert (time.time(), datetime.today().timestamp()) == (5.0, 5.0)
    assert world.clock.now() == 0


def test_a_spy_on_the_functions_of_time_passes_them_on(world: World) -> None:
    from unittest import mock

    with (
        mock.patch("time.sleep", autospec=True, side_effect=time.sleep) as sleep,
        mock.patch("time.time", wraps=time.time),
    ):
        before = time.time()
        time.sleep(60)
        after = time.time()

    sleep.assert_called_once_with(60)
    assert after - before == pytest.approx(60)
