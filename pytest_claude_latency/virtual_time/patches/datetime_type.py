"""`datetime.now` and `datetime.utcnow` for members of a world.

They are patched inside the C type. So it does not matter how a module imported the type, and the type stays the type: a
subclass in its place would break `type(x) is datetime`, pickles, and every library that looks types up in a table.
`datetime.today` and `date.today` call `time.time`, which is patched too.
"""

from __future__ import annotations

import gc
import sys
import warnings
from datetime import UTC, datetime, tzinfo
from typing import Any

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt, reports
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident, time_ns


def _seconds_and_microseconds() -> tuple[int, int]:
    """Return the time since the epoch, as the world of the thread has it."""
    member = MEMBERS.get(get_ident())
    if member is None:  # two frames up is who called `_now` or `_utcnow`
        now = time_ns() + (0 if reports(2) else LEADS.of(get_ident()).date)
    elif exempt(2):
        now = time_ns()
    elif (readings := member.world.readings) is None:
        now = time_ns() + member.world.offset
    else:
        now = readings.time_ns()
    return now // SECOND, now % SECOND // 1_000


def _now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
    second, microsecond = _seconds_and_microseconds()
    return cls.fromtimestamp(second, tz).replace(microsecond=microsecond)


def _utcnow(cls: type[datetime]) -> datetime:
    if sys.version_info >= (3, 12):
        warnings.warn(
            "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. "
            "Use timezone-aware objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC).",
            DeprecationWarning,
            stacklevel=2,
        )
    second, microsecond = _seconds_and_microseconds()
    return cls.fromtimestamp(second, UTC).replace(microsecond=microsecond, tzinfo=None)


def install() -> None:
    """Patch the type, once. Where the interpreter does not allow it, dates stay the machine's."""
    if sys.implementation.name != "cpython" or isinstance(datetime.__dict__["now"], classmethod):
        return
    # `datetime.__dict__` is a read-only view. The dictionary behind it is the one thing that the view refers to. If an
    # interpreter keeps it in another way, no dictionary with a "now" turns up, and nothing is patched.
    dictionaries: list[dict[str, Any]] = [
        referent for referent in gc.get_referents(datetime.__dict__) if type(referent) is dict
    ]
    if len(dictionaries) == 1 and "now" in dictionaries[0]:
        import ctypes

        dictionaries[0]["now"] = classmethod(_now)
        dictionaries[0]["utcnow"] = classmethod(_utcnow)
        # Attribute look-ups are cached by the version of the type, which a write behind its back does not change.
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
