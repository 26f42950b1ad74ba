"""`uuid.uuid1`, which holds a date: that of the caller's world.

Python takes it from a library written in C, which reads the machine's clock. If it is given a node, it reads
`time.time_ns` instead.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


_PATCHES = Patches()

# Not from `random`, whose numbers the program may have fixed: a recording was made without asking it for one.
_SEQUENCE = int.from_bytes(os.urandom(2)) % 2**14


@_PATCHES.wraps("uuid1")
def _uuid1(original: Callable[..., UUID], node: int | None = None, clock_seq: int | None = None) -> UUID:
    """Generate a UUID from the host, a sequence number and the present date."""
    if node is None and clock_seq is None and (MEMBERS.get(get_ident()) or LEADS.latest.date):
        node, clock_seq = sys.modules["uuid"].getnode(), _SEQUENCE
    return original(node, clock_seq)


def install(module: Any) -> None:
    """Patch the module `uuid`."""
    _PATCHES.install(module)


def forget_dates() -> None:
    """Let the next uuid be earlier than the last one: the date was set anew."""
    # Two uuids of one instant must differ, so the module never goes back behind the last one.
    module = sys.modules.get("uuid")
    for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
        if hasattr(module, name):
            setattr(module, name, None)
