"""The sockets of this process, and which ports it listens on itself: what serves there is part of the test."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Final

_FREE: Final = 256
"""Where so many numbers in a row belong to no file, none above them does."""


def listens_here(port: int | None) -> bool:
    """Return whether a socket of this process waits for connections on this port."""
    for _, opened in internet_sockets():
        with suppress(OSError):
            address = opened.getsockname()
            if address[1] == port and opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return True
    return False


def sockets() -> Iterator[tuple[int, socket.socket]]:
    """Yield the file of each socket of this process, and a copy of it, which is closed when the next one is asked for.

    Those of C libraries are among them.
    """
    for file in _socket_files():
        try:
            copy = copy_of(file)
        except OSError:  # closed meanwhile, or of a kind that Python does not know
            continue
        with copy:
            yield file, copy


def internet_sockets() -> Iterator[tuple[int, socket.socket]]:
    """Yield the same of those only whose addresses are a host and a port."""
    return ((file, copy) for file, copy in sockets() if is_internet(copy))


def is_internet(opened: socket.socket) -> bool:
    """Return whether the addresses of a socket are a host and a port.

    Other families have pairs too: those of netlink, with which names are looked up, are two numbers.
    """
    return opened.family in {socket.AF_INET, socket.AF_INET6}


def are_listed() -> bool:
    """Return whether sockets are among the files of a process, as on all systems but Windows."""
    with socket.socket() as opened:
        return any(file == opened.fileno() for file, _ in sockets())


def copy_of(file: int) -> socket.socket:
    """Return a copy of a socket's file, which can be closed without closing the program's.

    What is copied stays as it is: with `socket.setdefaulttimeout`, Python makes the socket of each new object
    non-blocking, and so all its copies. It believes a kind that says that it is.
    """
    copy = os.dup(file)
    blocks = os.get_blocking(copy)
    try:
        opened = socket.socket(type=socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0), fileno=copy)
    except OSError:
        os.close(copy)
        raise
    if os.get_blocking(copy) != blocks:  # a system without such kinds
        os.set_blocking(copy, blocks)
    return opened


def _socket_files() -> list[int]:
    """Return the files of this process that are sockets. Each test asks some times, and most have none."""
    fstat, is_socket, files = os.fstat, stat.S_ISSOCK, []
    for file in _open_files():
        try:
            if is_socket(fstat(file).st_mode):
                files.append(file)
        except OSError:  # closed meanwhile
            continue
    return files


def _open_files() -> list[int]:
    try:
        return list(map(int, os.listdir("/dev/fd")))  # noqa: PTH208 - names, not paths
    except OSError:  # a system that does not list them
        files: list[int] = []
    # A new file gets the lowest free number, so behind many free ones there are no more.
    for file in count():
        try:
            os.fstat(file)
        except OSError:
            if file - (files[-1] if files else 0) > _FREE:
                return files
        else:
            files.append(file)
    return files
