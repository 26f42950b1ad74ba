"""Activity: has any other thread of the process run since a moment? A cheap question with a careful answer.

A thread that was at rest and has not run since is at rest still. The kernel counts
switches and processor time for the whole process and for the calling thread, so
one question is enough for any number of threads. What has been woken but has not
run yet is in no count. So what a member does to wake an outsider is counted too,
as far as Python shows it. Where the kernel does not count, the answer is yes.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple, final

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.members import NATIVE_IDS, OURS
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
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


class _Done(NamedTuple):
    """What some threads have done since they began: how often they were switched out, and for how long they ran."""

    switches: int
    ran: Nanoseconds


class _Known(NamedTuple):
    """What those have done that are known to do nothing: members and our own threads, without the caller."""

    threads: frozenset[int | None]  # with the caller
    done: _Done


@final
class Activity:
    """What all other threads together had done at one moment, for the thread that noted it."""

    def __init__(self) -> None:
        self._noted_by = 0
        self._handed_over = -1
        self._others = _Done(0, 0)
        self._known: _Known | None = None

    def note(self) -> None:
        """Remember this moment."""
        self._noted_by, self._handed_over = get_ident(), OUTSIDERS.handed_over
        if _getrusage is not None:
            self._others, self._known = _of_others_and_known()

    def since(self) -> bool:
        """Return whether another thread may have run since the moment, or have been woken by a member.

        The threads of this package and other members do not count, as long as they are the same: what they do for
        others is noted.
        """
        if self._noted_by == 0 or self._handed_over != OUTSIDERS.handed_over or _getrusage is None:
            return True
        switches, ran = _of_others()
        # A thread that has begun to wait has been switched out. One that has not waited yet has used the processor.
        if (
            self._noted_by == get_ident()
            and switches == self._others.switches
            and ran - self._others.ran <= _INEXACTNESS
        ):
            return False
        others, known = _of_others_and_known()
        before = self._known
        if known is None or before is None or known.threads != before.threads:
            return True
        ran = known.done.ran - before.done.ran  # of those who are known
        if (
            others.switches - self._others.switches != known.done.switches - before.done.switches
            or others.ran - self._others.ran - ran > 2 * _INEXACTNESS
        ):
            return True
        # The next question costs less from here, until one of the known runs again. The processor's time is counted on
        # from the first moment: small steps must add up.
        self._noted_by, self._known = get_ident(), known
        self._others = _Done(others.switches, self._others.ran + ran)
        return False


def _of_others() -> _Done:
    # One question about the whole process and no more: with a thousand threads each takes a while. The caller first:
    # if it is interrupted in between, somebody seems to have run, and not the other way round.
    own, everybody = _getrusage(resource.RUSAGE_THREAD), _getrusage(resource.RUSAGE_SELF)
    switches = everybody.ru_nvcsw + everybody.ru_nivcsw - own.ru_nvcsw - own.ru_nivcsw
    ran = everybody.ru_utime + everybody.ru_stime - own.ru_utime - own.ru_stime
    return _Done(switches, round(ran * SECOND))


def _of_others_and_known() -> tuple[_Done, _Known | None]:
    """Return what all other threads have done, and how much of it those who are known; None where that is unclear.

    If somebody runs between the two questions, the answers do not fit, and a moment noted so would never be found
    again. So both are asked until nobody has.
    """
    others = _of_others()
    for _ in range(_TRIES):
        known = _of_known()
        if known is None:
            break
        before, others = others, _of_others()
        if others.switches == before.switches and others.ran - before.ran <= _INEXACTNESS:
            return before, known
    return others, None


def _of_known() -> _Known | None:
    threads: dict[int, Any] = threading._active  # type: ignore[attr-defined] # by identifier
    own = threading.get_native_id()
    idents = [ident for ident, member in tuple(MEMBERS.items()) if not member.world.ended]
    native = {NATIVE_IDS.get(ident) or getattr(threads.get(ident), "native_id", None) for ident in idents} | OURS
    native.discard(own)
    if len(native) > _MOST_KNOWN:
        return None
    switches = ran = 0
    for thread in native:
        did = None if thread is None else thread_state.done_by(thread)
        if did is None:
            return None
        switches, ran = switches + did[0], ran + did[1]
    return _Known(frozenset({*native, own}), _Done(switches, ran))
