"""The machine's own time and locks, bound before anything is patched.

Whatever must stay real whoever asks takes it from here: the watchdog, threads of
no world, the rest of a wait whose world has ended.
"""

from __future__ import annotations

import time as _time
from _thread import LockType, RLock, allocate_lock, get_ident
from collections.abc import Callable
from typing import Any


def _unpatched(name: str) -> Any:
    # A replacement in `time` carries the function it replaced as `.machine`, so this module may also be imported late.
    function = getattr(_time, name)
    return getattr(function, "machine", function)


sleep: Callable[[float], None] = _unpatched("sleep")
monotonic: Callable[[], float] = _unpatched("monotonic")
monotonic_ns: Callable[[], int] = _unpatched("monotonic_ns")
time_ns: Callable[[], int] = _unpatched("time_ns")

__all__ = ["LockType", "RLock", "allocate_lock", "get_ident", "monotonic", "monotonic_ns", "sleep", "time_ns"]
