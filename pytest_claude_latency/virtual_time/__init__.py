"""Virtual time: lets a program live on a clock that a replay moves.

`install` patches, once and early, what programs wait with. For threads that live
in no `World`, everything stays the machine's. Time in a world moves only when all
its members wait, and then to the earliest instant that one waits for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.lifecycle import World
    from pytest_claude_latency.virtual_time.patches.stand_ins import install, require_supported
    from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock, UnsupportedLoop
    from pytest_claude_latency.virtual_time.scheduling.holds import EVERY_THREAD, Hold
    from pytest_claude_latency.virtual_time.scheduling.table import current
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState
    from pytest_claude_latency.virtual_time.watch.real_waits import RealWait
    from pytest_claude_latency.virtual_time.watch.source_location import place_of_hold

__all__ = [
    "EVERY_THREAD",
    "Deadlock",
    "Hold",
    "RealWait",
    "UnsupportedLoop",
    "World",
    "WorldState",
    "current",
    "install",
    "place_of_hold",
    "require_supported",
]

_HOMES = {
    "EVERY_THREAD": "scheduling.holds",
    "Deadlock": "scheduling.errors",
    "Hold": "scheduling.holds",
    "RealWait": "watch.real_waits",
    "UnsupportedLoop": "scheduling.errors",
    "World": "lifecycle",
    "WorldState": "scheduling.world",
    "current": "scheduling.table",
    "install": "patches.stand_ins",
    "place_of_hold": "watch.source_location",
    "require_supported": "patches.stand_ins",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: most runs have no world."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
