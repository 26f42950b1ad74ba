"""What the audit hook alone cannot see: requests on kept connections, tunnels, other threads, loops in C.

Each patch is made once and stays. Where nothing is watched, it costs one more call.
"""

from __future__ import annotations

import functools
import importlib
import os
import socket
import sys
from types import ModuleType
from typing import Any

from pytest_claude_latency.http.guard import judging, names, other_libraries, processes, seen_sockets
from pytest_claude_latency.http.guard.hosts import destination_of, is_claudes, plain
from pytest_claude_latency.virtual_time.patches.import_hook import Patch, Watcher
from pytest_claude_latency.virtual_time.patches.patching import wrap

_MARK = "_claude_latency_guard"


def install() -> None:
    """Patch what is imported, and the rest as soon as it is."""
    names.install()
    _patch(os, processes.in_os)
    if os.name == "posix":
        _patch(importlib.import_module("_posixsubprocess"), processes.in_posixsubprocess)
    _WATCHER.watch()


def _patch(module: ModuleType, patch: Patch) -> None:
    # The mark is on what is patched: a run inside this one (pytester) may import this module anew, and wrap all again.
    if not hasattr(module, _MARK):
        setattr(module, _MARK, True)
        patch(module)


def _http_client(module: Any) -> None:
    """Look at each request: one on a connection kept alive opens none, and a proxy hides where it goes."""

    def set_tunnel(original: Any, connection: Any, host: Any, port: Any = None, *args: Any, **kwargs: Any) -> Any:
        name, tunnel_port = connection._get_hostport(host, port)
        judging.judge(name, tunnel_port, sys._getframe(2))
        return original(connection, host, port, *args, **kwargs)

    def putrequest(original: Any, connection: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
        frame = sys._getframe(2)
        if connection._tunnel_host:
            judging.judge(connection._tunnel_host, connection._tunnel_port, frame)
        # One that is not open yet raises its event as it is opened, for this request.
        elif connection.sock is not None:
            judging.judge(connection.host, connection.port, frame)
        # A proxy without a tunnel is told the whole URL.
        if isinstance(url, str) and not url.startswith("/") and (named := destination_of(url)):
            judging.judge(*named, frame)
        return original(connection, method, url, *args, **kwargs)

    wrap(module.HTTPConnection, "set_tunnel", set_tunnel)
    wrap(module.HTTPConnection, "putrequest", putrequest)


def _asyncio(module: Any) -> None:
    """Judge a lookup in the task that asks, since the thread that does it knows neither the program nor its door."""

    async def getaddrinfo(original: Any, loop: Any, host: Any, port: Any, **options: Any) -> Any:
        if not (isinstance(host, str | bytes) and is_claudes(plain(host), judging.number_of(port))):
            return await original(loop, host, port, **options)
        judging.judge(host, port, sys._getframe(1))
        wanted = [options.get(option, 0) for option in ("family", "type", "proto", "flags")]
        return await loop.run_in_executor(None, judging.judged, socket.getaddrinfo, host, port, *wanted)

    wrap(module.BaseEventLoop, "getaddrinfo", getaddrinfo)


def _uvloop(module: Any) -> None:
    """Judge what uvloop's loops connect to: they do it in C, without audit events."""
    # Plain functions that hand the coroutine on: the program's frame is on the stack only while it calls.

    async def create_connection(
        original: Any, loop: Any, factory: Any, host: Any = None, port: Any = None, **more: Any
    ) -> Any:
        judging.judge(host, port, sys._getframe(1), "uvloop")
        with seen_sockets.connecting_in_c():
            transport, protocol = await original(loop, factory, host, port, **more)
            if (connected := transport.get_extra_info("socket")) is not None:
                seen_sockets.note_connecting(connected.fileno())
        return transport, protocol

    def getaddrinfo(original: Any, loop: Any, host: Any, port: Any, **more: Any) -> Any:
        judging.judge(host, port, sys._getframe(2), "uvloop")
        return original(loop, host, port, **more)

    def sock_connect(original: Any, loop: Any, connecting: Any, address: Any) -> Any:
        if isinstance(address, tuple):
            host, port = address[:2]
            judging.judge(host, port, sys._getframe(2), "uvloop")
            seen_sockets.note_connecting(connecting.fileno())
        return original(loop, connecting, address)

    for method in (create_connection, getaddrinfo, sock_connect):
        wrap(module.Loop, method.__name__, method)


_LIBRARIES: dict[str, Patch] = {
    **processes.LIBRARIES,
    **other_libraries.LIBRARIES,
    "asyncio.base_events": _asyncio,
    "http.client": _http_client,
    "uvloop": _uvloop,
}
_WATCHER = Watcher({name: functools.partial(_patch, patch=patch) for name, patch in _LIBRARIES.items()})
