"""The lead: how far the clocks of outsiders are ahead of the machine's, because of worlds that have ended.

A program keeps instants in its modules: a rate limiter, a cache, a token that
expires. If its clocks went back when a world ends, it would wait for real until
the machine has caught up. So they go on from where the world left them.

A thread that lived beside the world did not see that time. It may stand in a wait
with a deadline, which would pass at once if its clocks jumped. It keeps its lead
until it has nothing to do.
"""

from __future__ import annotations

import threading
from typing import NamedTuple, final

from pytest_claude_latency.duration import Nanoseconds


class Lead(NamedTuple):
    """How far clocks are ahead: those without a date, and the calendar."""

    monotonic: Nanoseconds = 0
    date: Nanoseconds = 0


@final
class Leads:
    """The lead of each thread that is no member. Caller of every method but `of` must hold LOCK."""

    def __init__(self) -> None:
        self.latest = Lead()
        self._kept: dict[int, Lead] = {}  # of threads that lived beside a world, by identifier

    def of(self, ident: int) -> Lead:
        """Return the lead of a thread."""
        return self._kept.get(ident, self.latest)

    def grow(self, lead: Lead, travellers: set[int]) -> None:
        """Let clocks be ahead by this, or as they are, whichever is more; only `travellers` have lived through it."""
        threads: dict[int, object] = threading._active  # type: ignore[attr-defined] # threads by identifier
        alive = {ident for ident in tuple(threads) if ident not in travellers}
        self._kept = {ident: self._kept.get(ident, self.latest) for ident in alive}
        self.latest = Lead(max(lead.monotonic, self.latest.monotonic), max(lead.date, self.latest.date))

    def catch_up(self, ident: int) -> None:
        """Let a thread that begins, or has nothing to do, follow the latest lead."""
        self._kept.pop(ident, None)


# State of the process, since the clocks are.
LEADS = Leads()
