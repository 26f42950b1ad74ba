"""Sockets that Python was seen to connect or to use: what connects without that is code in C.

A socket is told by the number that the system gives it, since another one may have its file soon.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from pytest_claude_latency.http.door import note_carrier
from pytest_claude_latency.http.guard.listening import copy_of

_CONNECTED: set[int] = set()
"""Those that an event told of before they were connected, so that they were judged."""

_USED: dict[int, int] = {}
"""When each was last used by a request that a door let pass, or that was judged. A later time is a larger number."""

_TIMES = count(1)
_CONNECTING: list[None] = []


def number_of(file: int) -> int:
    """Return what tells the socket behind a file of this process from all others.

    Where the system does not number sockets, that is what a connection connects: no other has both ends in common.
    """
    if number := inode(file):
        return number
    with suppress(OSError), copy_of(file) as opened:
        return hash((opened.getsockname(), opened.getpeername()))
    return -1 - file  # not connected yet


def inode(file: int) -> int:
    """Return the system's own number of what is behind a file; 0 for sockets on systems other than Linux."""
    return os.fstat(file).st_ino


def note_connecting(file: int) -> None:
    """Note that Python connects a socket. It carries the request that is on its way in this context."""
    with suppress(OSError):
        _CONNECTED.add(number_of(file))
        note_use(file)


def note_use(file: int) -> None:
    """Note that a request goes over a connection that was met."""
    with suppress(OSError):
        _USED[number_of(file)] = next(_TIMES)
        note_carrier()


@contextmanager
def connecting_in_c() -> Iterator[None]:
    """Surround code in C that was judged, while nothing tells which socket it connects."""
    _CONNECTING.append(None)
    try:
        yield
    finally:
        _CONNECTING.pop()


def is_connecting_in_c() -> bool:
    """Return whether a connection that nobody was seen to connect may be one of those that were judged."""
    return bool(_CONNECTING)


def was_connected(number: int, file: int) -> bool:
    """Return whether Python was seen to connect the socket of this number, which is behind this file."""
    if -1 - file in _CONNECTED:  # by what it was told before it was connected
        _CONNECTED.discard(-1 - file)
        _CONNECTED.add(number)
    return number in _CONNECTED


def time_now() -> int:
    """Return a time for `was_used`."""
    return next(_TIMES)


def was_used(number: int, since: int) -> bool:
    """Return whether the socket of this number was seen in use since then."""
    return _USED.get(number, 0) > since


def forget_closed(numbers: set[int]) -> None:
    """Drop what is known of all sockets but those that are still open."""
    _CONNECTED.intersection_update(numbers)
    for number in _USED.keys() - numbers:
        del _USED[number]
