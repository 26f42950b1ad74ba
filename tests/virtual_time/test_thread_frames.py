"""A world beside subinterpreters, whose frames must not be looked at."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest

from pytest_claude_latency.virtual_time.watch import thread_frames

WORK = """
import threading, time

def work():
    for _ in range(10):
        time.sleep(0.01)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""

PROGRAM = f"""
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock

virtual_time.install()
world = virtual_time.World(VirtualClock(), name="beside a subinterpreter")
world.enter()
for _ in range(4):
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, {WORK!r})
    interpreters.destroy(interpreter)
world.leave()
print("left")
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before, subinterpreters share a lock and cannot run aside")
def test_a_world_beside_subinterpreters_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "left"), done.stderr


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="garbage is collected between two instructions only")
@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_collected_while_the_interpreter_lists_its_threads(
    monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(gc, "isenabled", lambda: enabled)
    monkeypatch.setattr(gc, "disable", lambda: asked.append(False))
    monkeypatch.setattr(gc, "enable", lambda: asked.append(True))
    monkeypatch.setattr(sys, "_current_frames", lambda: {1: asked.copy()})

    frames: Any = thread_frames.frames()

    assert frames == {1: [False]}
    assert asked == ([False, True] if enabled else [False])


def test_a_look_at_the_threads_keeps_nothing_alive() -> None:
    class Thing:
        """What a function has at hand while somebody looks."""

    def look() -> weakref.ref[Thing]:
        thing = Thing()
        _frames = thread_frames.frames()
        return weakref.ref(thing)

    gc.disable()
    try:
        assert look()() is None
    finally:
        gc.enable()
