"""Which ports this process itself listens on: what serves there is part of the test."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from contextlib import suppress


def listens_here(port: int | None) -> bool:
    """Return whether a socket of this process waits for connections on this port."""
    for opened in _sockets():
        with opened, suppress(OSError):
            address = opened.getsockname()
            is_port = isinstance(address, tuple) and address[1] == port
            if is_port and opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return True
    return False


def _sockets() -> Iterator[socket.socket]:
    """Yield a copy of each socket of this process, those of C libraries too where the system lists open files."""
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208 - names, not paths
    except OSError:
        descriptors = [found.fileno() for found in gc.get_objects() if isinstance(found, socket.socket)]
    for descriptor in descriptors:
        # A copy, since closing the socket object must not close the program's file.
        try:
            copy = os.dup(descriptor)
        except OSError:
            continue
        try:
            yield socket.socket(fileno=copy)
        except OSError:  # a file, but no socket
            os.close(copy)
