"""The names behind addresses: a connection is opened to an address, and only its lookup tells the name.

This is noted from the beginning of a run, since a connection that was opened before the first latency test may be used
in it. It imports nothing, as every run does it.
"""

from __future__ import annotations

import functools
import socket
from typing import Any

_NAMES: dict[str, str | bytes] = {}
"""The name that was last looked up for each address."""
_MOST = 4096
_MARK = "_claude_latency_names"


def install() -> None:
    """Note each lookup from now on."""
    lookup = socket.getaddrinfo
    if hasattr(socket, _MARK):
        return
    setattr(socket, _MARK, True)

    @functools.wraps(lookup)
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        addresses = lookup(host, *args, **kwargs)
        if isinstance(host, str | bytes):
            # A run may look up any number of names. What is dropped is noted again with its next lookup.
            if len(_NAMES) > _MOST:
                _NAMES.clear()
            _NAMES.update((address[4][0], host) for address in addresses if isinstance(address[4][0], str))
        return addresses

    socket.getaddrinfo = getaddrinfo


def name_of(address: str) -> str | bytes:
    """Return the name that was looked up for an address, or the address itself."""
    return _NAMES.get(address, address)
