"""Activity: has any other thread of the process run since a moment? A cheap question with a careful answer.

A thread that was at rest and has not run since is at rest still. The kernel counts
switches and processor time for the whole process and for the calling thread, so
one question is enough for any number of threads. What has been woken but has not
run yet is in no count. So what a member does to wake an outsider is counted too,
as far as Python shows it. Where the kernel does not count, the answer is yes.
"""

from __future__ import annotations

from typing import Any, final

from pytest_claude_latency.duration import MICROSECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, process_time_ns, thread_time_ns

try:
    import resource
except ImportError:  # Windows
    _getrusage: Any = None
else:
    # A thread that ends hands its count over to the process, so the sum never goes back.
    _getrusage = resource.getrusage if hasattr(resource, "RUSAGE_THREAD") else None

# The two clocks are not read in one step. What lies between may be counted for other threads.
_INEXACTNESS = 30 * MICROSECOND


@final
class Activity:
    """What all other threads together had done at one moment, for the thread that noted it."""

    def __init__(self) -> None:
        self._noted_by = 0
        self._handed_over = -1
        self._switches = 0
        self._ran: Nanoseconds = 0

    def note(self) -> None:
        """Remember this moment."""
        self._noted_by, self._handed_over = get_ident(), OUTSIDERS.handed_over
        if _getrusage is not None:
            self._switches, self._ran = _of_others()

    def forget(self) -> None:
        """Remember no moment: others are taken to be active."""
        self._noted_by = 0

    def since(self) -> bool:
        """Return whether another thread may have run since the moment, or have been woken by a member."""
        if self._noted_by != get_ident() or self._handed_over != OUTSIDERS.handed_over or _getrusage is None:
            return True
        switches, ran = _of_others()
        # A thread that has begun to wait has been switched out. One that has not waited yet has used the processor.
        return switches != self._switches or ran - self._ran > _INEXACTNESS


def _of_others() -> tuple[int, Nanoseconds]:
    own, ran = _getrusage(resource.RUSAGE_THREAD), thread_time_ns()
    everybody = _getrusage(resource.RUSAGE_SELF)
    switches = everybody.ru_nvcsw + everybody.ru_nivcsw - own.ru_nvcsw - own.ru_nivcsw
    return switches, process_time_ns() - ran
