"""The end of a run by SIGTERM: a job that is cancelled cleans up and writes its reports, as after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Never, final

import pytest

from pytest_claude_latency.measurement.processes.shared_page import tell_of_forks


@final
class Termination:
    """The handler of SIGTERM of a run. Without it the system would end the process at once."""

    def __init__(self) -> None:
        self._is_watched = False
        tell_of_forks(self)

    def watch(self) -> None:
        """Handle the signal, unless somebody does already."""
        # only the main thread may, and a handler of a program or plugin is its own concern
        is_free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if is_free and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _exit)
            self._is_watched = True

    def stop(self) -> None:
        """Leave the signal to the system again."""
        if self._is_watched and signal.getsignal(signal.SIGTERM) is _exit:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._is_watched = False

    def forked(self) -> None:
        """Let a forked child end at once, as its parent expects of `terminate()`: it has nothing to clean up."""
        self.stop()


def _exit(number: int, frame: FrameType | None) -> Never:
    # a second one ends the process at once: the clean-up may be what hangs
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # as a shell names the end of a process by a signal
    raise pytest.exit.Exception("terminated (SIGTERM)", returncode=128 + number)
