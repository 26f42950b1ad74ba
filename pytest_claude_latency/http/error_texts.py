"""The texts of errors of the wire, as `httpcore` and `aiohttp` give them.

Programs look at the text of an error to decide whether to ask again ("timed out", "incomplete chunked read"). A
recording keeps the text. These stand where it has none: in recordings of version 1, in invented answers, and for a
time-out of the program's own that fires in a replay.
"""

from __future__ import annotations

from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Wire: TypeAlias = Literal["sync", "async", "aiohttp"]
"""What carries the requests of a client: sockets that block, those of an event loop, or aiohttp on such a loop."""

_PORTS = {"http": 80, "https": 443}
_CUT_OFF = "peer closed connection without sending complete message body (incomplete chunked read)"
_SYNC = {
    "ConnectError": "[Errno 111] Connection refused",
    "ReadError": "[Errno 104] Connection reset by peer",
    "WriteError": "[Errno 32] Broken pipe",
    "RemoteProtocolError": "Server disconnected without sending a response.",
    "ConnectTimeout": "timed out",
    "ReadTimeout": "timed out",
    "WriteTimeout": "timed out",
    "PoolTimeout": "",
}
_SYNC_TLS = _SYNC | {
    "ReadTimeout": "The read operation timed out",
    "WriteTimeout": "The write operation timed out",
}
# An async library cancels what takes too long, and gives no text; nor does it for a broken socket.
_ASYNC = dict.fromkeys(_SYNC, "") | {
    "ConnectError": "All connection attempts failed",
    "RemoteProtocolError": _SYNC["RemoteProtocolError"],
}


_AIOHTTP = _ASYNC | {
    # It names the address where this names the host: no name is looked up in a replay.
    "ConnectError": "Cannot connect to host {host}:{port} ssl:default [Connect call failed ('{host}', {port})]",
    "ConnectTimeout": "Connection timeout to host {url}",
    "ReadTimeout": "Timeout on reading data from socket",
    "RemoteProtocolError": "Server disconnected",
    "PoolTimeout": "Connection timeout to host {url}",
}
_CUT_OFF_IN_AIOHTTP = (
    "Response payload is not completed: <TransferEncodingError: 400, message='Not enough data to satisfy transfer "
    "length header.'>"
)


def text_of(error: str, url: str, *, in_body: bool = False, wire: Wire = "sync") -> str:
    """Return the text of the error called `error`. `in_body` says that the headers had come."""
    if in_body and error == "RemoteProtocolError":
        return _CUT_OFF_IN_AIOHTTP if wire == "aiohttp" else _CUT_OFF
    if wire == "aiohttp":
        parts = urlsplit(url)
        text = _AIOHTTP.get(error, "as recorded")
        return text.format(host=parts.hostname, port=parts.port or _PORTS.get(parts.scheme, 0), url=url)
    texts = _ASYNC if wire == "async" else _SYNC_TLS if url.startswith("https:") else _SYNC
    return texts.get(error, "as recorded")
