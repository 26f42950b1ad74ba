"""`threading.Lock`, `threading.RLock` and `_thread.allocate_lock` as programs use them: waits of members are virtual.

A lock that a member holds is released by a member, at an instant of the world. So whoever waits for it can be parked,
and a limit of the wait is virtual. A lock that an outsider holds is waited for in reality, as is a lock that the
standard library made for itself.

Programs make locks when they are imported, so this module is too, in every run. It imports what a wait of a member
needs only in such a wait.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, final

from pytest_claude_latency.virtual_time.patches.exempt_callers import EXEMPT, package
from pytest_claude_latency.virtual_time.scheduling.real_clock import LockType, allocate_lock, get_ident
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, scheduled, spin

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.patches.blocking.lines import Line
    from pytest_claude_latency.virtual_time.scheduling.table import Member

# Whose locks stay the machine's. trio relies on what only locks written in C can do: a signal handler may interrupt
# each step of ours, and take the lock again.
_OTHERS = EXEMPT | sys.stdlib_module_names | {__name__.partition(".")[0], "trio"}
_INSTALLED = ("site-packages", "dist-packages")


def _stays_real(maker: FrameType) -> bool:
    """Return whether the lock that this frame makes is to be one of the machine's."""
    if package(maker) in _OTHERS:
        return True
    # What an installed library makes outside of a world, when it is imported for example, may be looked at by C code,
    # or by code that compares types. A run without latency tests should not meet anything new there.
    return scheduled() is None and any(folder in maker.f_code.co_filename for folder in _INSTALLED)


class _Like(type):
    """The type of `Lock`: the machine's locks are instances of it too, as they are without the plugin."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, LockType) or type.__instancecheck__(cls, instance)


class Lock(metaclass=_Like):
    """A lock that any thread may release.

    Free or held is what the machine's lock inside says. Next to it stands who holds it, and the members that wait.
    """

    __slots__ = ("__weakref__", "_holder", "_line", "_lock")
    __module__ = "threading"

    def __init_subclass__(cls, **_: object) -> NoReturn:
        """Refuse to be inherited from, as the machine's locks do."""
        raise TypeError("type 'threading.Lock' is not an acceptable base type")

    def __new__(cls) -> Any:
        """Make a lock; for callers that need one of the machine's, such a one."""
        return allocate_lock() if _stays_real(sys._getframe(1)) else cls._make()

    @classmethod
    def _make(cls) -> Lock:
        lock = object.__new__(cls)
        lock._lock = allocate_lock()
        lock._holder = None
        lock._line = None
        return lock

    _lock: LockType
    _holder: int | None  # the identifier of a thread
    _line: Line | None  # None until a member waits

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, if need be after a wait; return whether it was taken."""
        if timeout != -1 and (
            not blocking or timeout < 0 or timeout > threading.TIMEOUT_MAX or not isinstance(timeout, int | float)
        ):
            allocate_lock().acquire(blocking, timeout)  # the machine's lock raises for such arguments
        if self._take():
            return True
        if not blocking or timeout == 0:
            if self._holder != get_ident():  # else it only asks whether it holds the lock, as conditions do
                spin()
            return False
        return self._wait(None if timeout == -1 else timeout)

    def release(self) -> None:
        """Give the lock back.

        Raises:
            RuntimeError: nobody holds it.
        """
        self._holder = None
        self._lock.release()
        if not self._line:
            return
        # The member that waits first gets it, unless somebody else has just taken it. It is handed over while it is
        # held. If it were free meanwhile, a thread that takes it again and again without a wait in between would always
        # be first, and the others would wait for ever.
        from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK

        with TRACKED_LOCK:
            if not self._lock.acquire(False):
                return
            place = self._line.first()
            if place is None:
                self._lock.release()
                return
            place.granted = True
            self._holder = None if place.member is None else place.member.ident
            place.unpark()

    def locked(self) -> bool:
        """Return whether somebody holds the lock."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        """Take the lock."""
        return self._take() or self._wait(None)

    def __exit__(self, *_: object) -> None:
        """Give the lock back."""
        self.release()

    acquire_lock, release_lock, locked_lock = acquire, release, locked  # older names

    def _take(self) -> bool:
        if self._lock.acquire(False):
            self._holder = get_ident()
            return True
        return False

    def _wait(self, seconds: float | None) -> bool:
        member = scheduled()
        holder = None if member is None else MEMBERS.get(self._holder or 0)
        if member is None or holder is None or holder.world is not member.world:
            return self._really_wait(member, seconds)
        from pytest_claude_latency.virtual_time.patches.blocking.lines import Line, Place, instant_after, seconds_left
        from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK

        with TRACKED_LOCK:  # one line, whoever comes first
            line = self._line = Line() if self._line is None else self._line
        place = Place(instant_after(member, seconds), "Lock.acquire")

        def take() -> bool:
            place.granted = self._take()
            return place.granted

        try:
            line.wait(member, place, take)
        except BaseException:
            if place.granted:
                self.release()
            raise
        if place.granted:
            return True
        if member.world.ended:
            return self._really_wait(None, seconds_left(member, place.instant))
        return False

    def _really_wait(self, member: Member | None, seconds: float | None) -> bool:
        """Wait in reality. If the limit passes, the clock of the member's world has moved as far."""
        instant: Nanoseconds | None = None
        if member is not None:
            from pytest_claude_latency.virtual_time.patches.blocking.lines import instant_after

            instant = instant_after(member, seconds)
        if self._lock.acquire(True, -1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)):
            self._holder = get_ident()
            return True
        if member is not None and instant is not None:
            from pytest_claude_latency.virtual_time.scheduling import waiting

            waiting.sleep_until(member.world, instant)
        return False

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined] # what `threading` does to its own locks
        self._holder = None
        self._line = None

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled, as the machine's locks do."""
        raise TypeError("cannot pickle '_thread.lock' object")

    def __repr__(self) -> str:
        """Say whether it is locked."""
        return f"<{'locked' if self.locked() else 'unlocked'} threading.Lock object at {id(self):#x}>"


@final
class RLock(threading._RLock):  # type: ignore[misc] # Python's own, written in Python
    """A lock that its owner may take several times, on top of a `Lock`."""

    def __init__(self) -> None:
        super().__init__()
        self._block = Lock._make()

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled, as the machine's locks do."""
        raise TypeError("cannot pickle '_thread.RLock' object")


def install() -> None:
    """Replace the names in `threading` and below it."""
    module: Any = threading
    machine: Callable[..., Any] = module.RLock

    def rlock(*args: Any, **kwargs: Any) -> Any:
        """Make a lock that its owner may take several times."""
        if args or kwargs or _stays_real(sys._getframe(1)):
            return machine(*args, **kwargs)
        return RLock()

    rlock.__name__ = rlock.__qualname__ = "RLock"
    rlock.__module__ = "threading"
    module.Lock, module.RLock = Lock, rlock
    # A class and no function: a program may keep it in a class of its own, where a function would become a method.
    below: Any = _thread
    below.allocate_lock = below.allocate = Lock
