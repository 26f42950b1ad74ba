"""How the main thread is reached where it is blocked for real.

An exception can be raised at our own waits, but not in a plain `Lock.acquire`. A
signal reaches it there: Python runs its handler in the main thread, and the
handler may raise. SIGURG, which almost nobody sends and which does nothing by
default, is borrowed while a world is active.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, final

from pytest_claude_latency.duration import SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_SIGNAL = getattr(signal, "SIGURG", None)  # None on Windows


@final
class _Handler:
    """Raises the deadlock of one world."""

    def __init__(self, world: WorldState) -> None:
        self._world = world

    def __call__(self, number: int, frame: FrameType | None) -> None:
        # The signal may arrive late, after the test, or be somebody else's: then there is nothing to raise.
        if self._world.deadlock is not None and not self._world.ended:
            raise Deadlock(self._world.deadlock)


def listen(world: WorldState) -> None:
    """Borrow the signal, if the caller is the main thread and nobody else uses it."""
    # Only the main thread may set handlers. A program that uses SIGURG itself keeps it.
    if _in_main_thread() and _SIGNAL is not None and signal.getsignal(_SIGNAL) is signal.SIG_DFL:
        signal.signal(_SIGNAL, _Handler(world))


def stop_listening() -> None:
    """Give the signal back."""
    if _in_main_thread() and _SIGNAL is not None and isinstance(signal.getsignal(_SIGNAL), _Handler):
        signal.signal(_SIGNAL, signal.SIG_DFL)


def interrupt() -> None:
    """Raise in the main thread, if it is blocked outside all our waits. The caller must hold LOCK."""
    main = MEMBERS.get(threading.main_thread().ident or 0)
    if main is None or main.wait is not None or _SIGNAL is None:
        return
    if isinstance(signal.getsignal(_SIGNAL), _Handler):
        # Sent to this thread alone: sent to the process, another thread may receive it, and the blocked system call of
        # the main thread would not return.
        signal.pthread_kill(main.ident, _SIGNAL)


def alarm_is_set(within: Nanoseconds) -> bool:
    """Return whether a timer that the program has set will send a signal so soon: its handler may wake somebody."""
    if not hasattr(signal, "getitimer"):
        return False
    rest, _ = signal.getitimer(signal.ITIMER_REAL)
    return 0 < rest * SECOND < within


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
