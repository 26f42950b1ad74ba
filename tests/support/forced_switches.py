"""Forces a switch of threads at chosen steps of the code that counts threads.

Repetition does not find races there: they are a few instructions wide. A trace
function counts the lines of `virtual_time` that a program executes, in whatever
thread, and at the chosen lines really sleeps until all other threads have gone as
far as they can. Doing so at each line, in one run after the other, tries every
race once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import sys
import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.scheduling import real_clock

_PACKAGE = str(Path(virtual_time.__file__).parent)
_LIBRARY = (
    threading.__file__,
    queue.__file__,
    *(str(Path(str(package.__file__)).parent) for package in (asyncio, concurrent.futures)),
)
_SEEN_FROM_OUTSIDE = {"watchdog.py", "real_waits.py", "thread_state.py", "blocked_threads.py", "source_location.py"}
_PAUSE = 0.002  # seconds: the other threads need microseconds


class Switches:
    """Counts steps, and pauses at those in `at` for so many seconds."""

    def __init__(self, at: Container[int], library: bool, pause: float) -> None:
        self.steps = 0
        self._at = at
        self._pause = pause
        self._where = (_PACKAGE, *_LIBRARY) if library else _PACKAGE

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        """Return how to trace a new frame: line by line if its code belongs to what is stepped through."""
        name = frame.f_code.co_filename
        return self._line if name.startswith(self._where) and Path(name).name not in _SEEN_FROM_OUTSIDE else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.steps += 1
            if self.steps in self._at:
                real_clock.sleep(self._pause)
        return self._line


class EveryStep:
    """All steps, as a place for switches."""

    def __contains__(self, step: object) -> bool:
        """Whether to pause at this step."""
        return True


@contextmanager
def switching(at: Container[int], library: bool = False, pause: float = _PAUSE) -> Iterator[Switches]:
    """Trace this thread and those started in the block; pause at these steps.

    With `library`, the steps of `threading`, `queue`, `asyncio` and `concurrent.futures` count too.
    """
    switches = Switches(at, library, pause)
    before, before_in_threads = sys.gettrace(), threading.gettrace()
    threading.settrace(switches.trace)
    sys.settrace(switches.trace)
    try:
        yield switches
    finally:
        sys.settrace(before)
        threading.settrace(before_in_threads)
