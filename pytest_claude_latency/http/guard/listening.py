"""Which ports this process itself listens on: what serves there is part of the test."""

from __future__ import annotations

import gc
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress


def listens_here(port: int | None) -> bool:
    """Return whether a socket of this process waits for connections on this port."""
    for _, opened in sockets():
        with suppress(OSError):
            address = opened.getsockname()
            is_port = isinstance(address, tuple) and address[1] == port
            if is_port and opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return True
    return False


def sockets() -> Iterator[tuple[int, socket.socket]]:
    """Yield the file of each socket of this process, and a copy of it, which is closed when the next one is asked for.

    Where the system lists open files, those of C libraries are among them.
    """
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208 - names, not paths
    except OSError:
        descriptors = [found.fileno() for found in gc.get_objects() if isinstance(found, socket.socket)]
    for descriptor in descriptors:
        # A copy, since closing the socket object must not close the program's file.
        try:
            copy = os.dup(descriptor) if stat.S_ISSOCK(os.fstat(descriptor).st_mode) else None
        except OSError:  # closed meanwhile
            continue
        if copy is None:
            continue
        try:
            opened = socket.socket(fileno=copy)
        except OSError:  # a socket of a kind that Python does not know
            os.close(copy)
            continue
        with opened:
            yield descriptor, opened
