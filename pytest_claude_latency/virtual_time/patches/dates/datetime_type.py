"""`datetime.now` and `datetime.utcnow` for members of a world.

They are patched inside the C type. So it does not matter how a module imported the type, and the type stays the type: a
subclass in its place would break `type(x) is datetime`, pickles, and every library that looks types up in a table.
`datetime.today` and `date.today` call `time.time`, which is patched too.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt, reports
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.real_clock import TRAVELS, get_ident, time_ns
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS


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
    if TRAVELS.under_way:
        return _DATETIME.machine["now"].__get__(None, cls)(tz)  # type: ignore[no-any-return] # what `now` returns
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
    if TRAVELS.under_way:
        return _now(cls, UTC).replace(tzinfo=None)
    second, microsecond = _seconds_and_microseconds()
    return cls.fromtimestamp(second, UTC).replace(microsecond=microsecond, tzinfo=None)


class _Type:
    """The type `datetime`, the dictionary of its attributes, and what we replace there; `machine` is empty before."""

    def __init__(self) -> None:
        # While freezegun freezes, the name stands for a subclass of the type.
        self.type: Final[type[datetime]] = next(cls for cls in datetime.__mro__ if cls.__module__ == "datetime")
        self.machine: dict[str, Any] = {}
        # `datetime.__dict__` is a read-only view. The dictionary behind it is the one thing that the view refers to. If
        # an interpreter keeps it in another way, no dictionary with a "now" turns up, and nothing is patched.
        found: list[dict[str, Any]] = [
            referent for referent in gc.get_referents(self.type.__dict__) if type(referent) is dict
        ]
        self.attributes = found[0] if len(found) == 1 and "now" in found[0] else None
        self.ours = {"now": classmethod(_now), "utcnow": classmethod(_utcnow)}

    def put(self, attributes: dict[str, Any]) -> None:
        """Write these attributes into the type."""
        import ctypes

        assert self.attributes is not None
        self.attributes.update(attributes)
        # Attribute look-ups are cached by the version of the type, which a write behind its back does not change.
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(self.type))


_DATETIME = _Type()


def install() -> None:
    """Patch the type, once. Where the interpreter does not allow it, dates stay the machine's."""
    if sys.implementation.name == "cpython" and _DATETIME.attributes is not None and not _DATETIME.machine:
        _DATETIME.machine = {name: _DATETIME.attributes[name] for name in _DATETIME.ours}
        _DATETIME.put(_DATETIME.ours)


@contextmanager
def left_to_the_machine() -> Iterator[None]:
    """Give the type its own methods back for so long."""
    if not _DATETIME.machine:
        yield
        return
    _DATETIME.put(_DATETIME.machine)
    try:
        yield
    finally:
        _DATETIME.put(_DATETIME.ours)
