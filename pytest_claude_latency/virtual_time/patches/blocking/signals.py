"""Signals that a program sends to itself, and waits for signals.

The main thread handles signals. If it is parked in a virtual wait, the kernel would wake it a little later than the
thread that sent the signal stops counting as running, and the clock could move in between. So such a signal is not
sent: the main thread counts as running at once, and raises the signal itself when its turn comes.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

from pytest_claude_latency.virtual_time.patches.blocking.lines import instant_after
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt
from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.scheduling import waiting
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, scheduled

_OF_OS, _PATCHES = Patches(), Patches()


def _raise_in_wait(number: int) -> bool:
    """Let the main thread, if it is parked in the caller's world, raise the signal there; return whether it will."""
    sender = scheduled()
    if sender is None or not number:  # zero only asks whether the receiver exists
        return False
    with TRACKED_LOCK:
        main = MEMBERS.get(threading.main_thread().ident or 0)
        if main is None or main is sender or main.wait is None or main.schedule is None:
            return False
        # A thread that stands here for its turn only, is interrupted before it goes on.
        main.schedule.interrupt(main.wait, functools.partial(_raise, number))
        return True


def _raise(number: int) -> None:
    import signal

    signal.raise_signal(number)


def _declare_sending(patches: Patches, name: str, reaches_main: Callable[[int], bool]) -> None:
    """Let the function of this name raise a signal in the main thread, where that is parked in the caller's world."""

    @patches.wraps(name)
    def send(original: Callable[[int, int], None], receiver: int, number: int, /) -> None:
        if not (reaches_main(receiver) and _raise_in_wait(number)):
            original(receiver, number)


# Sent to the process or its group, it is the main thread's to handle, whichever thread the kernel picks.
_declare_sending(_OF_OS, "kill", lambda process: process in {os.getpid(), 0})
_declare_sending(_OF_OS, "killpg", lambda group: group in {os.getpgrp(), 0})
_declare_sending(_PATCHES, "pthread_kill", lambda ident: ident == threading.main_thread().ident)


@_PATCHES.wraps("sigtimedwait")
def _wait(original: Callable[[Any, float], Any], signals: Any, timeout: float, /) -> Any:
    """Wait in reality; if no signal comes, the clock of the caller's world has moved by the limit."""
    member = None if exempt(2) else scheduled()
    instant = None if member is None or timeout < 0 else instant_after(member, timeout)
    received = original(signals, timeout)
    if received is None and member is not None and instant is not None:
        waiting.sleep_until(member.world, instant)
    return received


def install_kill() -> None:
    """Patch how the module `os` sends signals."""
    _OF_OS.install(os)


def install(module: Any) -> None:
    """Patch the module `signal`."""
    _PATCHES.install(module)
    from pytest_claude_latency.virtual_time.patches.blocking import interval_timer  # it imports `signal`

    interval_timer.install(module)
