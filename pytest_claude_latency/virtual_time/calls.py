"""Calls that nobody was there to hear: a member notifies a condition on which an outsider uses to wait.

The outsider is just doing something else: the last steps of an earlier errand,
mostly. It works for the member's world from the moment it comes back to the
condition, and until then the clock waits for it, if it is on its way.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, admit, adoptable
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_GUESTS = "_claude_latency_guests"  # on a condition: the threads that waited there as outsiders
_CALL = "_claude_latency_call"  # on a condition: the world that called them


def come_back(condition: Any) -> None:
    """The calling thread waits on the condition as an outsider: what it was called for is done. Wants the lock."""
    condition.__dict__.setdefault(_GUESTS, set()).add(get_ident())
    world: WorldState | None = condition.__dict__.pop(_CALL, None)
    if world is not None and world.schedule is not None:
        world.schedule.missed_notifications.pop(condition, None)


def call(condition: Any) -> None:
    """The calling thread notifies the condition while nobody waits there."""
    guests: set[int] | None = condition.__dict__.get(_GUESTS)
    caller = MEMBERS.get(get_ident())
    if guests is None or caller is None or caller.world.ended:
        return
    with TRACKED_LOCK:
        guests.intersection_update(threading._active)  # type: ignore[attr-defined] # those alive, by identifier
        coming = {ident for ident in guests if adoptable(ident)}
        if coming:
            condition.__dict__[_CALL] = caller.world
            if caller.schedule is not None:
                caller.schedule.missed_notifications[condition] = coming


def answer(condition: Any) -> None:
    """The calling thread comes to the condition: if it was called, it works for that world."""
    world: WorldState | None = condition.__dict__.get(_CALL)
    if world is None:
        return
    ident = get_ident()
    with TRACKED_LOCK:
        if not world.ended and ident in condition.__dict__[_GUESTS] and adoptable(ident):
            admit(world, ident, borrowed_through=condition)
