"""Holds: stretches of time in which the program held a thread, so that nothing else could run on it.

A replay knows when each chunk was due. Where the program took it later, the time between is the program's, and a hold
says what held it, and in which line. An event loop that is held also keeps its other tasks and timers waiting.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple, final

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident

if TYPE_CHECKING:
    from types import FrameType

LEAST: Final[Nanoseconds] = 10 * MILLISECOND
"""Shorter holds are not noted: looking at the stack for each would cost more than it tells."""
LEAST_LAG: Final[Nanoseconds] = 50 * MILLISECOND
"""The same for a loop that really runs: every program computes for some milliseconds between two waits."""

EVERY_THREAD: Final = 0
"""In the place of a thread: no thread of Python ran. The code of another one kept the interpreter, or the machine."""

_MOST = 1000  # a program that sleeps in a loop for hours needs no longer list
_DEPTH = 40  # frames: the program's own lines lie within these


class Line(NamedTuple):
    """One frame of a stack, without the frame itself, which would keep the program's values alive."""

    file: str
    number: int
    function: str
    qualified: str = ""
    """The name of the function with that of its class."""


class Due(NamedTuple):
    """Something that was due while a loop was held: a task or a timer, and when."""

    name: str
    instant: Nanoseconds


class Hold(NamedTuple):
    """One stretch, from `start` to `end` on the clock of its world, in which the program held `thread`.

    A hold is either a wait that blocked the thread, with `what` it was and the `lines` that led to it, the innermost
    first; or, with `is_loop`, the time for which the thread's event loop did not get to its next turn, and what was
    `due` meanwhile. `in_loop` says that an event loop was running in the thread.
    """

    thread: int
    start: Nanoseconds
    end: Nanoseconds
    what: str = ""
    lines: tuple[Line, ...] = ()
    in_loop: bool = False
    is_loop: bool = False
    due: tuple[Due, ...] = ()

    def since(self, origin: Nanoseconds) -> Hold:
        """Return the same hold with instants that count from `origin`."""
        due = tuple(Due(name, instant - origin) for name, instant in self.due)
        return self._replace(start=self.start - origin, end=self.end - origin, due=due)

    @property
    def length(self) -> Nanoseconds:
        """Its duration in nanoseconds."""
        return self.end - self.start


@final
class Holds(list[Hold]):
    """The holds of one world, in the order in which they ended."""

    def note_wait(self, start: Nanoseconds, end: Nanoseconds, what: str) -> None:
        """Note a wait that blocked the calling thread, if it was long enough to matter."""
        if end - start < LEAST or len(self) >= _MOST:
            return
        # Not imported here: a program that has not loaded it runs no loop.
        asyncio = sys.modules.get("asyncio.events")
        in_loop = asyncio is not None and asyncio._get_running_loop() is not None
        lines: list[Line] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and len(lines) < _DEPTH:
            code = frame.f_code  # read once: the guard's audit hook makes it dear
            lines.append(Line(code.co_filename, frame.f_lineno, code.co_name, code.co_qualname))
            frame = frame.f_back
        self.append(Hold(get_ident(), start, end, what, tuple(lines), in_loop))

    def note_loop(self, start: Nanoseconds, end: Nanoseconds, due: tuple[Due, ...] = ()) -> None:
        """Note that the event loop of the calling thread was held."""
        if len(self) < _MOST:
            self.append(Hold(get_ident(), start, end, in_loop=True, is_loop=True, due=due))
