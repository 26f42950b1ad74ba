"""The message about a deadlock: who waits for what, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, Member
from pytest_claude_latency.virtual_time.watch import source_location
from pytest_claude_latency.virtual_time.watch.real_waits import thread_name

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import World


def describe(world: World) -> str:
    """The message: a line for each thread of the world, and one for each task of its loops."""
    lines = ["nothing can wake this program: everything in it waits, and nothing of it for a time"]
    for member in [member for member in MEMBERS.values() if member.world is world]:
        lines.append(line(thread_name(member.ident), _what(member), source_location.of_thread(member.ident)))
        lines += [] if member.wait is None else ["  " + detail for detail in member.wait.details()]
    return "\n".join(lines)


def line(who: str, what: str, where: str) -> str:
    """One row of the message."""
    return f"  {who:<24} {what:<36} {where}".rstrip()


def _what(member: Member) -> str:
    if member.wait is None:
        return "blocked, by a lock or in C code"
    return member.wait.what or source_location.call_of_thread(member.ident)
