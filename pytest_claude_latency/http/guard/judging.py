"""What the guard judges: lookups, connections and new processes, as Python's audit events tell them.

An audit hook stays for the life of the process. So it is added once, and each event asks who is watching now.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from pytest_claude_latency.http.door import current_passage
from pytest_claude_latency.http.guard.connection import Connection, NewProcess
from pytest_claude_latency.http.guard.hosts import are_same, is_claudes, is_in_anthropics_network, is_loopback, plain
from pytest_claude_latency.http.guard.listening import listens_here
from pytest_claude_latency.http.guard.names import name_of
from pytest_claude_latency.http.guard.seen_sockets import note_connecting


class Watcher(Protocol):
    """What is told of what no door sees."""

    @property
    def replays(self) -> bool:
        """Whether nothing may leave."""
        ...

    def met_outside(self, connection: Connection) -> None:
        """Learn of a connection to a Claude API that no door opens.

        Raises:
            BaseException: it must not be opened.
        """
        ...

    def met_process(self, process: NewProcess) -> None:
        """Learn of a process that is being started. No call that it makes is seen."""
        ...


WATCHING: list[Callable[[], Watcher | None]] = []
"""Who watches: each returns who is told of what the calling thread does, or `None`."""

DESTINATIONS: list[tuple[str, int | None]] = []
"""Hosts and ports that users name as Claude's; a port is `None` where each is meant."""

_JUDGED = threading.local()


def watcher_now() -> Watcher | None:
    """Return who is told of what the calling thread does now; `None` where nothing is being measured."""
    # The innermost one that measures: `play` in an ordinary test watches beside the run.
    return next((watcher for watching in reversed(WATCHING) if (watcher := watching()) is not None), None)


def judged(lookup: Callable[..., Any], *args: Any) -> Any:
    """Look a name up whose request was judged in another thread: an event loop hands lookups to a pool."""
    _JUDGED.lookup = True
    try:
        return lookup(*args)
    finally:
        _JUDGED.lookup = False


def judge(host: Any, port: Any, frame: FrameType | None, library: str = "socket") -> None:
    """Tell the watcher of a connection to a Claude API that is opened in this frame, unless a door opens it.

    Raises:
        BaseException: the watcher refuses it.
    """
    if not isinstance(host, str | bytes) or not WATCHING:
        return
    name, number = _claudes(host, port), number_of(port)
    if name is None:
        return
    watcher = watcher_now()
    # A door knows the host as the program gave it, by name or by address.
    if watcher is None or _is_a_doors(name, number) or _is_a_doors(plain(host), number):
        return
    # A server of this process stands in for the API: it is part of the test.
    if is_loopback(plain(host)) and listens_here(number):
        return
    watcher.met_outside(Connection.opened_by(frame, name, number, library))


def claudes_at(address: str, port: int) -> str | None:
    """Return the name of a Claude API that another process serves at an address; `None` if none is known there."""
    name = _claudes(address, port)
    return None if name is None or (is_loopback(plain(address)) and listens_here(port)) else name


def _claudes(given: str | bytes, given_port: Any) -> str | None:
    """Return the name of a host where a Claude API is served. An address has the name that was looked up for it."""
    address, number = plain(given), number_of(given_port)
    name = plain(name_of(address))
    for known in (name, address):
        is_users = any(are_same(known, host) and port in {None, number} for host, port in DESTINATIONS)
        if is_users or is_claudes(known, number):
            return name
    # A name that only C code has looked up is not known here.
    return name if name == address and is_in_anthropics_network(address) else None


def met_process(frame: FrameType, *, is_refused: bool = False) -> None:
    """Tell the watcher of a process that is started in this frame; `is_refused` as `NewProcess` has it."""
    watcher = watcher_now()
    if watcher is not None:
        watcher.met_process(NewProcess.started_by(frame, is_refused=is_refused))


def _is_a_doors(host: str, port: int | None) -> bool:
    passage = current_passage()
    if passage is None:
        return False
    known_host, known_port = passage.destination
    return are_same(host, plain(known_host)) and port in {None, known_port}


def number_of(port: Any) -> int | None:
    """Return a port as a number. Lookups also take it as text, or as the name of a service."""
    if isinstance(port, bytes):
        port = port.decode("ascii", "replace")
    if isinstance(port, str):
        return int(port) if port.isdecimal() else {"http": 80, "https": 443}.get(port)
    return port if isinstance(port, int) else None


# ── the audit hook ──


def _looks_up(host: Any, port: Any = None, *others: Any) -> None:
    if not getattr(_JUDGED, "lookup", False):
        judge(host, port, sys._getframe(2))


def _connects(connecting: Any, address: Any) -> None:
    if isinstance(address, tuple) and len(address) >= 2:  # an address of another family is no internet address
        if WATCHING:
            note_connecting(connecting.fileno())
        judge(address[0], address[1], sys._getframe(2))


def _starts(*args: Any) -> None:
    frame = sys._getframe(2)
    # Met already, unless the program bound the function before it was patched.
    if frame.f_globals.get("__name__") not in _MEETING:
        met_process(frame)


_MEETING = frozenset({"subprocess", "pytest_claude_latency.http.guard.processes"})
_EVENTS: dict[str, Callable[..., None]] = {
    "socket.connect": _connects,
    "socket.getaddrinfo": _looks_up,
    "socket.gethostbyname": _looks_up,
    "os.exec": _starts,
    "os.posix_spawn": _starts,
    "os.system": _starts,
}


def _hook(event: str, args: tuple[Any, ...], events: Any = _EVENTS) -> None:
    # It is called for each event of the process, so nothing comes before this look. Python's own part of the cost is
    # four times as much, and no hook can lower it.
    # The table is a default, since the hook is still called when the interpreter has emptied its modules.
    if event in events:
        events[event](*args)


def install(installed: list[bool] = []) -> None:  # noqa: B006 - once per process
    """Add the hook, which cannot be removed again."""
    if not installed:
        installed.append(True)
        sys.addaudithook(_hook)
