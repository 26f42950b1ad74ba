"""Reaching the main thread where it is blocked for real.

An exception can be raised at our own waits, but not in a plain `Lock.acquire`.
A signal can: Python runs its handler there, and the handler may raise. SIGURG,
which nobody sends and everybody ignores, is borrowed while a world is active.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_SIGNAL = getattr(signal, "SIGURG", None)


@final
class _Handler:
    """Raises what the world of the main thread came to."""

    def __init__(self, world: WorldState) -> None:
        self._world = world

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._world.deadlock is not None and not self._world.ended:
            raise Deadlock(self._world.deadlock)


def listen(world: WorldState) -> None:
    """Borrow the signal, if the caller is the main thread and nobody else uses it."""
    if _in_main_thread() and _SIGNAL is not None and signal.getsignal(_SIGNAL) is signal.SIG_DFL:
        signal.signal(_SIGNAL, _Handler(world))


def stop_listening() -> None:
    """Give the signal back."""
    if _in_main_thread() and _SIGNAL is not None and isinstance(signal.getsignal(_SIGNAL), _Handler):
        signal.signal(_SIGNAL, signal.SIG_DFL)


def interrupt() -> None:
    """Let the main thread look up from what blocks it, if that is none of our own waits. Wants the lock."""
    main = MEMBERS.get(threading.main_thread().ident or 0)
    if main is None or main.wait is not None or _SIGNAL is None:
        return
    if isinstance(signal.getsignal(_SIGNAL), _Handler):
        signal.pthread_kill(main.ident, _SIGNAL)


def alarm_is_set(within: Nanoseconds) -> bool:
    """Whether a timer of the program's own will send a signal so soon."""
    if not hasattr(signal, "getitimer"):
        return False
    rest, _ = signal.getitimer(signal.ITIMER_REAL)
    return 0 < rest * SECOND < within


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
