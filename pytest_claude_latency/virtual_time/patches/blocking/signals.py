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
from pytest_claude_latency.virtual_time.scheduling import waiting
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, scheduled


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


def _sends(function: Callable[[int, int], None], reaches_main: Callable[[int], bool]) -> Callable[[int, int], None]:
    @functools.wraps(function)
    def send(receiver: int, number: int, /) -> None:
        if not (reaches_main(receiver) and _raise_in_wait(number)):
            function(receiver, number)

    return send


def _waits(sigtimedwait: Callable[[Any, float], Any]) -> Callable[[Any, float], Any]:
    @functools.wraps(sigtimedwait)
    def wait(signals: Any, timeout: float, /) -> Any:
        """Wait in reality; if no signal comes, the clock of the caller's world has moved by the limit."""
        member = None if exempt(1) else scheduled()
        instant = None if member is None or timeout < 0 else instant_after(member, timeout)
        received = sigtimedwait(signals, timeout)
        if received is None and member is not None and instant is not None:
            waiting.sleep_until(member.world, instant)
        return received

    return wait


def install_kill() -> None:
    """Patch how the module `os` sends signals."""
    module: Any = os
    # Sent to the process or its group, it is the main thread's to handle, whichever thread the kernel picks.
    module.kill = _sends(os.kill, lambda process: process in {os.getpid(), 0})
    if hasattr(os, "killpg"):
        module.killpg = _sends(os.killpg, lambda group: group in {os.getpgrp(), 0})


def install(module: Any) -> None:
    """Patch the module `signal`."""
    if hasattr(module, "pthread_kill"):
        module.pthread_kill = _sends(module.pthread_kill, lambda ident: ident == threading.main_thread().ident)
    if hasattr(module, "sigtimedwait"):
        module.sigtimedwait = _waits(module.sigtimedwait)
    from pytest_claude_latency.virtual_time.patches.blocking import interval_timer  # it imports `signal`

    interval_timer.install(module)
    for name in ("pthread_kill", "sigtimedwait", "setitimer", "getitimer", "alarm"):
        if hasattr(module, name):
            getattr(module, name).__module__ = module.__name__  # and not `_signal`, where the machine's come from
