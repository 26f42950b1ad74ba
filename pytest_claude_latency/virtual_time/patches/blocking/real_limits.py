"""Limits of waits that stay real: for files, sockets and child processes.

Such a wait takes its real time, and the clock stands meanwhile. When its limit has passed, the clock has to move as
far, or a loop that repeats the wait until a deadline would never end.

The same functions write to sockets and pipes, for which threads outside the world may wait.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_claude_latency import required_names
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time.patches import import_hook
from pytest_claude_latency.virtual_time.patches.blocking import file_waits
from pytest_claude_latency.virtual_time.patches.blocking.file_waits import Events
from pytest_claude_latency.virtual_time.patches.blocking.lines import instant_after
from pytest_claude_latency.virtual_time.patches.blocking.loans import LOAN, LOANS
from pytest_claude_latency.virtual_time.patches.exempt_callers import exempt
from pytest_claude_latency.virtual_time.scheduling import waiting
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.table import scheduled

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.virtual_time.scheduling.table import Member


def _reach(member: Member, instant: Nanoseconds) -> None:
    """Let the clock read `instant`, at which a limit has passed in reality; others may go on before."""
    schedule = member.schedule
    if schedule is None:
        return
    # A thread that polls comes here in each round, and goes back to its call. If it has to wait for the lock, whoever
    # holds that must not take it for one that has found something.
    returning = schedule.real_work.returning
    returning.add(member)
    try:
        with TRACKED_LOCK:
            reached = schedule.reach(member, instant)
    finally:
        returning.discard(member)
    if not reached:
        waiting.sleep_until(member.world, instant)


def _selects(select: Callable[..., Any], place: int, events: Callable[..., Events]) -> Callable[..., Any]:
    """Return `select`, whose argument number `place` is its limit, and which returns nothing when that has passed.

    `events` tells from the arguments what it waits for.
    """

    @functools.wraps(select)
    def selecting(*args: Any, **kwargs: Any) -> Any:
        limit = args[place] if len(args) > place else kwargs.get("timeout")
        member = None if limit is not None and limit <= 0 else scheduled()
        # An event loop is parked already when it asks its selector.
        if member is None or member.wait is not None or exempt(1):
            return select(*args, **kwargs)
        try:
            files = events(*args)
        except Exception:
            return select(*args, **kwargs)  # says itself what is wrong with its arguments
        only_reads = set(files.values()) <= {file_waits.READ}
        if member.borrowed_through is LOAN and only_reads and LOANS.over(member, files):
            return select(*args, **kwargs)
        if file_waits.wait(member, select.__name__, files, limit):
            return select(*args[:place], 0)
        instant = instant_after(member, limit)
        found = select(*args, **kwargs)
        # `select.select` returns three lists, a selector one.
        if instant is not None and not any(found):
            _reach(member, instant)
        return found

    return selecting


def returns_nothing(function: Callable[..., Any], limit_of: Callable[..., float | None]) -> Callable[..., Any]:
    """Return a function that returns something false when its limit has passed; `limit_of` finds it in the arguments.

    Its waits are real.
    """

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        limit = limit_of(*args, **kwargs)
        member = None if limit is None or limit <= 0 else scheduled()
        # Taken before the call: the limit counts from here, and others may move the clock while this thread waits.
        instant = None if member is None else instant_after(member, limit)
        found = function(*args, **kwargs)
        if member is not None and instant is not None and not found:
            _reach(member, instant)
        return found

    return limited


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


def _reads(
    read: Callable[..., Any], limit_of: Callable[[Any], float | None], limited: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function that reads from a file, or accepts a connection; `limited` does so within a real limit.

    A wait of a member is virtual if the file can only be filled by this process. An outsider works for the member that
    wrote what it has read.
    """

    @functools.wraps(read)
    def reading(file: Any, *args: Any, **kwargs: Any) -> Any:
        member = scheduled()
        if member is None or (member.borrowed_through is LOAN and LOANS.over(member, (file,))):
            found = read(file, *args, **kwargs)
        else:
            limit = limit_of(file)
            if limit == 0 or exempt(1):
                return read(file, *args, **kwargs)
            events = {file if isinstance(file, int) else file.fileno(): file_waits.READ}
            if file_waits.wait(member, read.__name__, events, limit):
                raise TimeoutError("timed out")
            found = limited(file, *args, **kwargs)
            if member.schedule is not None:
                return found
        # Its world, if it had one, has ended meanwhile, and the next one may have begun.
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


def _limit_of_communicate(process: Any, input: Any = None, timeout: float | None = None) -> float | None:  # noqa: A002 - its name
    return timeout


def _looks(
    function: Callable[..., Any], still_runs: Callable[[Any], bool], child_of: Callable[..., int]
) -> Callable[..., Any]:
    """Return a function that looks whether a child process has ended; `still_runs` tells from what it returns.

    `child_of` finds the number of that process in its arguments.
    """

    @functools.wraps(function)
    def looking(*args: Any, **kwargs: Any) -> Any:
        seen = function(*args, **kwargs)
        if still_runs(seen) and (member := scheduled()) is not None:
            with TRACKED_LOCK:
                if (schedule := member.schedule) is not None:
                    schedule.real_work.add_poller(member, child_of(*args, **kwargs))
        return seen

    return looking


_SELECTORS = ("SelectSelector", "PollSelector", "EpollSelector", "DevpollSelector", "KqueueSelector")
_READING = ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "_accept")
_WRITING = ("connect", "send", "sendall", "sendto", "sendmsg")


def _wrap_all(cls: Any, names: tuple[str, ...], wrap: Callable[[Any], Any]) -> None:
    for name in [name for name in names if hasattr(cls, name)]:
        setattr(cls, name, wrap(getattr(cls, name)))


def install() -> None:
    """Patch the modules, now or when they are imported: when the first world begins, so that other runs keep theirs."""
    _WATCHER.watch()


def _patch_select(module: Any) -> None:
    module.select = _selects(module.select, 3, file_waits.selected)
    for name in [name for name in ("poll", "epoll") if hasattr(module, name)]:
        setattr(module, name, _polling(getattr(module, name)))


def _polling(make: Any) -> Any:
    """Return what makes the objects that `make` makes; for a member, one whose limits its clock gains."""

    # Their types are written in C, and nothing can be put into them.
    @functools.wraps(make, updated=())
    def polling(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        return made if scheduled() is None or exempt(1) else _Polling(made)

    for name in [name for name in dir(make) if not hasattr(polling, name)]:  # such as `epoll.fromfd`
        setattr(polling, name, getattr(make, name))
    return polling


class _Polling:
    """Stands in the place of an object of `select.poll` or `select.epoll`."""

    def __init__(self, machine: Any) -> None:
        self._machine = machine
        milliseconds = not hasattr(machine, "fileno")  # an epoll counts by seconds
        self.poll = returns_nothing(
            machine.poll, lambda timeout=None, *_, **__: timeout / 1000 if milliseconds and timeout else timeout
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def __enter__(self) -> _Polling:
        return self

    def __exit__(self, *_: object) -> None:
        self._machine.close()


def _patch_connections(module: Any) -> None:
    if not required_names.are_there(module.__name__):
        return  # as each latency test tells
    module.wait = returns_nothing(module.wait, lambda _, timeout=None: timeout)
    base = module._ConnectionBase
    base.poll = returns_nothing(base.poll, lambda _, timeout=0.0: timeout)


def _patch_queues(module: Any) -> None:
    # It asks for the queue and then for its lock, each with what is left of the limit in the machine's time.
    module.Queue.get = _raises(
        module.Queue.get, lambda _, block=True, timeout=None: timeout if block else 0, module.Empty
    )


def _patch_semaphores(module: Any) -> None:
    if not required_names.are_there(module.__name__):
        return  # as each latency test tells
    make = module.SemLock._make_methods

    @functools.wraps(make)
    def make_methods(semaphore: Any) -> None:
        make(semaphore)
        semaphore.acquire = returns_nothing(semaphore.acquire, lambda block=True, timeout=None: timeout if block else 0)

    module.SemLock._make_methods = make_methods


def _patch_selectors(module: Any) -> None:
    for cls in [getattr(module, name) for name in _SELECTORS if hasattr(module, name)]:
        cls.select = _selects(cls.select, 1, file_waits.registered)


def _patch_os(module: Any) -> None:
    for name in [name for name in ("waitpid", "wait4") if hasattr(module, name)]:
        setattr(module, name, _looks(getattr(module, name), lambda seen: seen[0] == 0, lambda child, *_, **__: child))
    if hasattr(module, "wait3"):
        module.wait3 = _looks(module.wait3, lambda seen: seen[0] == 0, lambda *_, **__: -1)
    module.read = _reads(module.read, lambda _: None, module.read)
    module.write = _writes(module.write)


def _patch_subprocess(module: Any) -> None:
    module.Popen.poll = _looks(module.Popen.poll, lambda code: code is None, lambda process: process.pid)
    module.Popen.wait = _raises(module.Popen.wait, lambda process, timeout=None: timeout, module.TimeoutExpired)
    module.Popen.communicate = _raises(module.Popen.communicate, _limit_of_communicate, module.TimeoutExpired)


def _patch_sockets(cls: Any, reading: tuple[str, ...], writing: tuple[str, ...]) -> None:
    def limited(function: Callable[..., Any]) -> Callable[..., Any]:
        return _raises(function, lambda socket, *_, **__: socket.gettimeout(), TimeoutError)

    _wrap_all(cls, reading, lambda read: _reads(read, lambda socket: socket.gettimeout(), limited(read)))
    _wrap_all(cls, writing, lambda write: _writes(limited(write)))


_PATCHES: dict[str, Callable[[Any], None]] = {
    "multiprocessing.connection": _patch_connections,
    "multiprocessing.queues": _patch_queues,
    "multiprocessing.synchronize": _patch_semaphores,
    "os": _patch_os,
    "select": _patch_select,
    "selectors": _patch_selectors,
    "socket": lambda module: _patch_sockets(module.socket, _READING, _WRITING),
    "ssl": lambda module: _patch_sockets(module.SSLSocket, ("read",), ("write", "do_handshake")),
    "subprocess": _patch_subprocess,
}
_WATCHER = import_hook.Watcher(_PATCHES)  # of the process, since the patches are
