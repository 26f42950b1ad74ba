"""The texts of errors of the wire, as `httpcore` gives them.

Programs look at the text of an error to decide whether to ask again ("timed out", "incomplete chunked read"). A
recording keeps the text. These stand where it has none: in recordings of version 1, in invented answers, and for a
time-out of the program's own that fires in a replay.
"""

from __future__ import annotations

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


def text_of(error: str, url: str, *, in_body: bool = False, is_async: bool = False) -> str:
    """Return the text of the error called `error`. `in_body` says that the headers had come."""
    if in_body and error == "RemoteProtocolError":
        return _CUT_OFF
    texts = _ASYNC if is_async else _SYNC_TLS if url.startswith("https:") else _SYNC
    return texts.get(error, "as recorded")
