"""The end of a run by SIGTERM: a job that is cancelled cleans up and writes its reports, as after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Never, final

from pytest_claude_latency.measurement.processes.shared_page import tell_of_forks


class Terminated(KeyboardInterrupt):
    """The run is to end, as with Ctrl-C. No error of pytest's, which the SDK would take for one of its request's."""


@final
class Termination:
    """The handler of SIGTERM of a run. Without it the system would end the process at once."""

    def __init__(self) -> None:
        self._is_watched = False
        self._has_come = False
        tell_of_forks(self)

    def watch(self) -> None:
        """Handle the signal, unless somebody does already."""
        # only the main thread may, and a handler of a program or plugin is its own concern
        is_free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if is_free and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._end)
            self._is_watched = True

    def stop(self) -> None:
        """Leave the signal to the system again."""
        if self._is_watched and signal.getsignal(signal.SIGTERM) == self._end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._is_watched = False

    def forked(self) -> None:
        """Let a forked child end at once, as its parent expects of `terminate()`: it has nothing to clean up."""
        self.stop()

    def exit_status(self) -> int:
        """Return the exit status of a run that the signal has ended, as a shell names it, or else 0."""
        return 128 + signal.SIGTERM if self._has_come else 0

    def _end(self, number: int, frame: FrameType | None) -> Never:
        # a second one ends the process at once: the clean-up may be what hangs
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._has_come = True
        raise Terminated("terminated (SIGTERM)")
