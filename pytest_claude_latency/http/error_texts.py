"""The texts of errors of the wire, as `httpcore` and `aiohttp` give them, and what a recorded one tells of.

Programs look at the text of an error to decide whether to ask again ("timed out", "incomplete chunked read"). A
recording keeps the text. These stand where it has none: in recordings of version 1, in invented answers, and for a
time-out of the program's own that fires in a replay.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import Final, Literal, TypeAlias
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


_IN_AIOHTTP: Final = re.compile(r"Cannot connect to host .*? \[(.*)\]", re.DOTALL)
_NUMBERED: Final = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)
_LOOKUP_FAILED: Final = re.compile(
    r"name or service not known|temporary failure in name resolution|no address associated|non-recoverable"
    r"|name does not resolve|nodename nor servname|getaddrinfo failed|domain name not found|dns ",
    re.IGNORECASE,
)
"""How systems and resolvers say that a name could not be looked up. A recording keeps the text alone."""
_NOT_VERIFIED: Final = re.compile(r"SSLCertVerificationError: \(1, (['\"])(.*)\1\)", re.DOTALL)


def why_no_connection(text: str) -> OSError:
    """Return the error of Python's sockets that `text` tells of: of a lookup, of TLS or of the system.

    `text` is that of a recorded `ConnectError`, whichever library raised it. aiohttp's own has the reason in brackets,
    behind host and port. A library's own error has the class that follows from the one returned here.
    """
    match = _IN_AIOHTTP.fullmatch(text)
    reason = match[1] if match else text
    number = _NUMBERED.search(reason)
    if number is not None and reason.startswith("[Errno"):
        reason = number[2]
    if _LOOKUP_FAILED.search(reason) or (number is not None and int(number[1]) < 0):
        return socket.gaierror(int(number[1]) if number else socket.EAI_NONAME, reason)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        shown = _NOT_VERIFIED.fullmatch(reason)
        return ssl.SSLCertVerificationError(1, shown[2] if shown else reason)
    if "[SSL" in reason:
        return ssl.SSLError(1, reason)
    return OSError(int(number[1]) if number else errno.ECONNREFUSED, reason)
