"""Limits of waits that stay real: for files, sockets and child processes.

Such a wait takes its real time, and the clock stands meanwhile. When its limit has passed, the clock has to move as
far, or a loop that repeats the wait until a deadline would never end.

The same functions write to sockets and pipes, for which threads outside the world may wait.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches.blocking.lines import instant_after
from pytest_claude_latency.virtual_time.patches.blocking.loans import LOAN, LOANS
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import scheduled
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.members import Member


def _reach(member: Member, instant: Nanoseconds) -> None:
    """Let the clock read `instant`, unless somebody else can go on before it: then that moves the clock."""
    schedule = member.schedule
    if schedule is None:
        return
    # A thread that polls comes here in each round, and goes back to its call. If it has to wait for the lock, whoever
    # holds that must not take it for one that has found something.
    returning = schedule.real_work.returning
    returning.add(member)
    try:
        with TRACKED_LOCK:
            schedule.reach(member, instant)
    finally:
        returning.discard(member)


def _ends_empty(select: Callable[..., Any], place: int, files: Callable[..., Iterable[Any]]) -> Callable[..., Any]:
    """Return `select`, whose argument number `place` is its limit, and which returns nothing when that has passed.

    `files` tells, from the arguments, which files it waits for, if all are there to be read; else none.
    """

    @functools.wraps(select)
    def selecting(*args: Any, **kwargs: Any) -> Any:
        limit = args[place] if len(args) > place else kwargs.get("timeout")
        member = None if limit is not None and limit <= 0 else scheduled()
        if member is None or exempt(1):
            return select(*args, **kwargs)
        if (member.borrowed_through is LOAN and LOANS.over(member, files(*args))) or limit is None:
            return select(*args, **kwargs)
        instant = instant_after(member, limit)
        found = select(*args, **kwargs)
        # `select.select` returns three lists, a selector one.
        if instant is not None and not any(found):
            _reach(member, instant)
        return found

    return selecting


def _raises(function: Callable[..., Any], limit_of: Callable[..., float | None], error: Any) -> Callable[..., Any]:
    """Return a function that raises `error` when its limit has passed; `limit_of` finds the limit in its arguments."""

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        member = scheduled()
        before = None if member is None else member.world.clock.now()
        try:
            return function(*args, **kwargs)
        except error:
            limit = limit_of(*args, **kwargs)
            if member is not None and before is not None and limit is not None and limit > 0:
                _reach(member, before + round(limit * SECOND))
            raise

    return limited


def _reads(read: Callable[..., Any], limited: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that lends an outsider to the member that wrote what it reads; `limited` is for members."""

    @functools.wraps(read)
    def reading(file: Any, *args: Any, **kwargs: Any) -> Any:
        member = scheduled()
        if member is not None and not (member.borrowed_through is LOAN and LOANS.over(member, (file,))):
            return limited(file, *args, **kwargs)
        found = read(file, *args, **kwargs)
        if LOANS.world is not None:
            LOANS.read(file)
        return found

    return reading


def _writes(write: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that notes that a member writes what an outsider may wait for."""

    @functools.wraps(write)
    def writing(file: Any, *args: Any, **kwargs: Any) -> Any:
        member = scheduled()
        if member is not None:
            OUTSIDERS.hand_over()
            LOANS.written(member, file)
        return write(file, *args, **kwargs)

    return writing


def _limit_of_wait(process: Any, timeout: float | None = None) -> float | None:
    return timeout


def _limit_of_communicate(process: Any, input: Any = None, timeout: float | None = None) -> float | None:  # noqa: A002 - its name
    return timeout


def _looks(function: Callable[..., Any], still_runs: Callable[[Any], bool]) -> Callable[..., Any]:
    """Return a function that looks whether a child process has ended; `still_runs` tells from what it returns."""

    @functools.wraps(function)
    def looking(*args: Any, **kwargs: Any) -> Any:
        seen = function(*args, **kwargs)
        if still_runs(seen) and (member := scheduled()) is not None:
            with TRACKED_LOCK:
                if (schedule := member.schedule) is not None:
                    schedule.real_work.add_poller(member)
        return seen

    return looking


_SELECTORS = ("SelectSelector", "PollSelector", "EpollSelector", "DevpollSelector", "KqueueSelector")
_READING = ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "_accept")
_WRITING = ("connect", "send", "sendall", "sendto", "sendmsg")


def _wrap_all(cls: Any, names: tuple[str, ...], wrap: Callable[[Any], Any]) -> None:
    for name in [name for name in names if hasattr(cls, name)]:
        setattr(cls, name, wrap(getattr(cls, name)))


def install() -> None:
    """Patch what is loaded of the modules, once each: when a world begins, so that other runs keep what they had."""
    modules = sys.modules
    for name in [name for name in _PATCHES if name in modules and name not in _DONE]:
        _DONE.add(name)
        _PATCHES[name](modules[name])


def _patch_select(module: Any) -> None:
    module.select = _ends_empty(module.select, 3, lambda reads, writes, *_: () if writes else reads)


def _patch_selectors(module: Any) -> None:
    for cls in [getattr(module, name) for name in _SELECTORS if hasattr(module, name)]:
        cls.select = _ends_empty(cls.select, 1, _read_by)


def _read_by(selector: Any, *_: Any) -> list[Any]:
    keys = selector.get_map().values()
    return [key.fd for key in keys] if all(key.events == 1 for key in keys) else []  # `selectors.EVENT_READ`


def _patch_os(module: Any) -> None:
    for name in [name for name in ("waitpid", "wait3", "wait4") if hasattr(module, name)]:
        setattr(module, name, _looks(getattr(module, name), lambda seen: seen[0] == 0))
    module.read = _reads(module.read, module.read)
    module.write = _writes(module.write)


def _patch_subprocess(module: Any) -> None:
    module.Popen.poll = _looks(module.Popen.poll, lambda code: code is None)
    module.Popen.wait = _raises(module.Popen.wait, _limit_of_wait, module.TimeoutExpired)
    module.Popen.communicate = _raises(module.Popen.communicate, _limit_of_communicate, module.TimeoutExpired)


def _patch_sockets(cls: Any, reading: tuple[str, ...], writing: tuple[str, ...]) -> None:
    def limited(function: Callable[..., Any]) -> Callable[..., Any]:
        return _raises(function, lambda socket, *_, **__: socket.gettimeout(), TimeoutError)

    _wrap_all(cls, reading, lambda read: _reads(read, limited(read)))
    _wrap_all(cls, writing, lambda write: _writes(limited(write)))


_PATCHES: dict[str, Callable[[Any], None]] = {
    "os": _patch_os,
    "select": _patch_select,
    "selectors": _patch_selectors,
    "socket": lambda module: _patch_sockets(module.socket, _READING, _WRITING),
    "ssl": lambda module: _patch_sockets(module.SSLSocket, ("read",), ("write", "do_handshake")),
    "subprocess": _patch_subprocess,
}
_DONE: set[str] = set()  # of the process, since the patches are
