"""Activity: has any other thread of the process run since a moment? A cheap question with a careful answer.

A thread that was at rest and has not run since is at rest still. The kernel counts
switches and processor time for the whole process and for the calling thread, so
one question is enough for any number of threads. What has been woken but has not
run yet is in no count. So what a member does to wake an outsider is counted too,
as far as Python shows it. Where the kernel does not count, the answer is yes.
"""

from __future__ import annotations

import threading
from typing import Any, final

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, NATIVE_IDS, OURS
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.watch import thread_state

try:
    import resource
except ImportError:  # Windows
    _getrusage: Any = None
else:
    # A thread that ends hands its count over to the process, so the sum never goes back.
    _getrusage = resource.getrusage if hasattr(resource, "RUSAGE_THREAD") else None

# The two clocks are not read in one step. What lies between may be counted for other threads.
_INEXACTNESS = 30 * MICROSECOND
_TRIES = 4
_MOST_KNOWN = 20  # threads: to ask about more costs as much as to look at those that could have run


@final
class Activity:
    """What all other threads together had done at one moment, for the thread that noted it."""

    def __init__(self) -> None:
        self._noted_by = 0
        self._handed_over = -1
        self._switches = 0
        self._ran: Nanoseconds = 0
        self._known: tuple[int, Nanoseconds] | None = None  # what those had done that are known to do nothing

    def note(self) -> None:
        """Remember this moment."""
        self._noted_by, self._handed_over = get_ident(), OUTSIDERS.handed_over
        if _getrusage is not None:
            self._switches, self._ran = _of_others()
            self._known = _of_known()

    def forget(self) -> None:
        """Remember no moment: others are taken to be active."""
        self._noted_by = 0

    def since(self) -> bool:
        """Return whether another thread may have run since the moment, or have been woken by a member.

        The threads of this package and other members do not count, as long as they are the same: what they do for
        others is noted.
        """
        if self._noted_by == 0 or self._handed_over != OUTSIDERS.handed_over or _getrusage is None:
            return True
        switches, ran = _of_others()
        # A thread that has begun to wait has been switched out. One that has not waited yet has used the processor.
        if self._noted_by == get_ident() and switches == self._switches and ran - self._ran <= _INEXACTNESS:
            return False
        # Who is known may run just now, so the counts that are read one after the other do not fit. If they fit at any
        # moment, nobody else has run until then.
        return not any(self._fits() for _ in range(_TRIES))

    def _fits(self) -> bool:
        switches, ran = _of_others()
        known = _of_known()
        if known is None or self._known is None:
            return False
        if (
            switches - known[0] != self._switches - self._known[0]
            or ran - known[1] - self._ran + self._known[1] > 2 * _INEXACTNESS
        ):
            return False
        # The next question costs less from here, until one of the known runs again. The processor's time is counted on
        # from the first moment: small steps must add up.
        self._ran += known[1] - self._known[1]
        self._noted_by, self._switches, self._known = get_ident(), switches, known
        return True


def _of_others() -> tuple[int, Nanoseconds]:
    # One question about the whole process and no more: with a thousand threads each takes a while.
    everybody, own = _getrusage(resource.RUSAGE_SELF), _getrusage(resource.RUSAGE_THREAD)
    switches = everybody.ru_nvcsw + everybody.ru_nivcsw - own.ru_nvcsw - own.ru_nivcsw
    ran = everybody.ru_utime + everybody.ru_stime - own.ru_utime - own.ru_stime
    return switches, round(ran * SECOND)


def _of_known() -> tuple[int, Nanoseconds] | None:
    """Return what the members and our own threads have done, without the caller; None where that cannot be told."""
    threads: dict[int, Any] = threading._active  # type: ignore[attr-defined] # by identifier
    own = get_ident()
    idents = [ident for ident, member in tuple(MEMBERS.items()) if ident != own and not member.world.ended]
    native = {NATIVE_IDS.get(ident) or getattr(threads.get(ident), "native_id", None) for ident in idents} | OURS
    if len(native) > _MOST_KNOWN:
        return None
    switches = ran = 0
    for thread in native:
        did = None if thread is None else thread_state.done_by(thread)
        if did is None:
            return None
        switches, ran = switches + did[0], ran + did[1]
    return switches, ran
