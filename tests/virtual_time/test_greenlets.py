"""gevent and eventlet: what they would make wrong is refused at the first wait, with one message, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest

BEFORE, AFTER, NOT_AT_ALL = "patched before", "patched after", "not patched"
PATCH = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()",
}
SPAWN = {
    "gevent": "import gevent; first, second = gevent.spawn(call), gevent.spawn(call); first.get(); second.get()",
    "eventlet": "import eventlet; both = eventlet.spawn(call), eventlet.spawn(call); both[0].wait(); both[1].wait()",
}
USES = {
    "greenlets": SPAWN,
    "threads": dict.fromkeys(PATCH, "import threading; t = threading.Thread(target=call); t.start(); t.join()"),
    "its own sleep": {
        library: f"import {library}\nwhile time.monotonic() < start + 1: {library}.sleep(0.01)" for library in PATCH
    },
    "a sleep that is patched": dict.fromkeys(PATCH, "while time.monotonic() < start + 1: time.sleep(0.01)"),
}


@pytest.fixture(params=PATCH)
def library(request: pytest.FixtureRequest) -> str:
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def run(library: str, patched: str, use: str, clock: str = "VirtualClock") -> str:
    """Return the last line that a program prints, which does this in a world."""
    patch = PATCH[library]
    source = f"""
{patch if patched == BEFORE else ""}
from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock, WallClock
from pytest_claude_latency.duration import SECOND
virtual_time.install()
{patch if patched == AFTER else ""}
import time

def call():
    world.sleep_until(world.clock.now() + SECOND // 5)

world = virtual_time.World({clock}(), name="test_it")
world.enter()
start, began = time.monotonic(), world.clock.now()
try:
{textwrap.indent(use, "    ")}
except virtual_time.UnsupportedLoop as error:
    print(str(error).splitlines()[0])
else:
    print("took", round((world.clock.now() - began) / SECOND, 1))
world.leave()
"""
    done = subprocess.run([sys.executable, "-c", source], check=False, capture_output=True, text=True, timeout=60)
    return done.stdout.strip().splitlines()[-1] if done.stdout else done.stderr


@pytest.mark.parametrize("patched", [BEFORE, AFTER])
@pytest.mark.parametrize("use", USES)
def test_a_patched_process_is_refused_where_greenlets_wait(library: str, patched: str, use: str) -> None:
    assert (
        run(library, patched, USES[use][library])
        == f"{library} waits for its greenlets, and virtual time cannot follow it"
    )


@pytest.mark.parametrize("patched", [BEFORE, AFTER])
def test_a_patched_process_that_uses_no_greenlets_is_followed(library: str, patched: str) -> None:
    assert run(library, patched, "call(); call()") == "took 0.4"


def test_without_the_patch_a_sleep_of_the_library_is_refused(library: str) -> None:
    assert run(library, NOT_AT_ALL, USES["its own sleep"][library]).startswith(f"{library} waits for its greenlets")


def test_a_hub_that_is_older_than_the_test_is_refused(library: str) -> None:
    use = f"""
world.leave()
import {library}
{library}.sleep(0.01)
world = virtual_time.World(VirtualClock(), name="later")
world.enter()
{library}.sleep(0.01)
"""

    assert run(library, NOT_AT_ALL, use).startswith(f"{library} waits for its greenlets")


@pytest.mark.parametrize("patched", [BEFORE, AFTER])
def test_on_the_real_clock_greenlets_wait_side_by_side(library: str, patched: str) -> None:
    assert run(library, patched, SPAWN[library], clock="WallClock") == "took 0.2"
