"""`datetime.now` and `datetime.utcnow` for members of a world.

Patched inside the C type, so that it holds however a module imported it, and so
that the type stays the type: a subclass in its place would break `type(x) is
datetime`, pickles and every library that looks types up. `datetime.today` and
`date.today` ask `time.time` by themselves and need nothing.
"""

from __future__ import annotations

import gc
import sys
import warnings
from datetime import UTC, datetime, tzinfo
from typing import Any

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, time_ns


def _moment() -> tuple[int, int]:
    """Seconds and microseconds since the epoch, for the caller of our caller."""
    member = MEMBERS.get(get_ident())
    if member is None or exempt(2):
        now = time_ns()
    elif (readings := member.world.readings) is None:
        now = time_ns() + member.world.offset
    else:
        now = readings.time_ns()
    return now // SECOND, now % SECOND // 1_000


def _now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
    second, microsecond = _moment()
    return cls.fromtimestamp(second, tz).replace(microsecond=microsecond)


def _utcnow(cls: type[datetime]) -> datetime:
    if sys.version_info >= (3, 12):
        warnings.warn(
            "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. "
            "Use timezone-aware objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC).",
            DeprecationWarning,
            stacklevel=2,
        )
    second, microsecond = _moment()
    return cls.fromtimestamp(second, UTC).replace(microsecond=microsecond, tzinfo=None)


def install() -> None:
    """Patch the type, once. Where the interpreter does not let us, dates stay the machine's."""
    if isinstance(datetime.__dict__["now"], classmethod):
        return
    namespace = _namespace(datetime)
    if namespace is not None:
        import ctypes

        namespace["now"] = classmethod(_now)
        namespace["utcnow"] = classmethod(_utcnow)
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


def _namespace(cls: type) -> dict[str, Any] | None:
    """The dictionary behind the read-only view `cls.__dict__`, on CPython."""
    if sys.implementation.name != "cpython":
        return None
    behind = [found for found in gc.get_referents(cls.__dict__) if type(found) is dict]
    return behind[0] if len(behind) == 1 and "now" in behind[0] else None
