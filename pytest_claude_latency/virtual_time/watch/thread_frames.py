"""The frames of other threads, where it is safe to look at them."""

from __future__ import annotations

import gc
import sys
from types import FrameType

from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident

# The modules with which Python code makes subinterpreters; the public ones import these.
_SUBINTERPRETERS = ("_interpreters", "_xxsubinterpreters")


def frames() -> dict[int, FrameType] | None:
    """Return the frame that each other thread executes, by Python's identifiers; None where looking is not safe."""
    if sys.version_info >= (3, 12):
        # `sys._current_frames` also reads the frames of subinterpreters. Since Python 3.12 these run on locks of their
        # own, so they change meanwhile, which aborts the process. Asked is whether the program could make one, and not
        # whether there is one: another thread may make it between the answer and the look.
        return None if any(name in sys.modules for name in _SUBINTERPRETERS) else _of_others()
    # Python 3.11 may collect garbage while it holds the lock of the list of threads (CPython's issue 106883; later
    # versions collect between two instructions). If a finalizer then lets another thread run, and that one begins or
    # ends a thread, both wait for ever.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _of_others()
    finally:
        if collects:
            gc.enable()


def frame_of(ident: int) -> FrameType | None:
    """Return the frame that a thread executes; None if it has none, or where looking is not safe."""
    return sys._getframe(1) if ident == get_ident() else (frames() or {}).get(ident)


def _of_others() -> dict[int, FrameType]:
    found = sys._current_frames()
    # Its own frame would hold whoever keeps the answer in a variable in a circle with it. All that the program's
    # threads had at hand would then live until garbage is collected.
    found.pop(get_ident(), None)
    return found
