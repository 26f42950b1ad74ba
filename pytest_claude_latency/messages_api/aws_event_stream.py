"""AWS event streams: the binary framing in which Bedrock sends a streamed answer.

Each frame of `invoke-with-response-stream` carries one event of the Messages API,
as base64 inside a small JSON object. A frame of `converse-stream` carries its event
as it is. `Decoder` is used like `sse.Decoder`, so that whatever reads an answer need
not know in which of them it came. What the client would raise, an exception sent by
AWS or a frame that is broken, becomes an `error` event here.
botocore is not used: reports read Bedrock recordings on machines without it.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final, final
from zlib import crc32

from pytest_claude_latency.messages_api.sse import Event

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")  # length of the frame, length of its headers, checksum of these two
_CHECKSUM = struct.Struct(">I")
# AWS sends no more. Without a limit a broken length would let the decoder wait for gigabytes.
_LARGEST_HEADERS = 128 * 1024
_LARGEST_PAYLOAD = 24 * 1024 * 1024

_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # by type of header: bytes of its value
_STRING = 7
_TYPES_WITH_LENGTH = (6, _STRING)

EVENT: Final[dict[str, str]] = {":content-type": "application/json", ":message-type": "event"}
"""The headers of a frame with an event, but for its type, `:event-type`."""


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a frame with these headers, whose values are strings, and this payload."""
    encoded = b""
    for name, value in headers.items():
        encoded += (
            bytes([len(name)]) + name.encode() + struct.pack(">BH", _STRING, len(value.encode())) + value.encode()
        )
    prelude = struct.pack(">II", _PRELUDE.size + len(encoded) + len(payload) + _CHECKSUM.size, len(encoded))
    body = prelude + _CHECKSUM.pack(crc32(prelude)) + encoded + payload
    return body + _CHECKSUM.pack(crc32(body))


@final
class Decoder:
    """Turns the bytes of one stream into its events.

    Time is linear in the bytes fed, whatever their cut: they are joined only
    when there are enough of them for the next part of a frame. `bare` says that frames carry events as they are.
    """

    def __init__(self, *, bare: bool = False) -> None:
        self._bare = bare
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = _PRELUDE.size  # bytes until the next step: fewer are only kept, so that nothing is joined twice
        self._broken = False

    def feed(self, data: bytes) -> Iterable[Event]:
        """Return the events that these bytes complete, in order. Nothing follows a broken frame."""
        self._pieces.append(data)
        self._held += len(data)
        if self._broken or self._held < self._needed:
            return []
        held, start = b"".join(self._pieces), 0
        events: list[Event] = []
        try:
            while (needed := _needed(held, start)) <= len(held) - start:
                event = _event(held[start : start + needed], self._bare)
                start += needed
                if event is not None:
                    events.append(event)
        except _BrokenFrameError as broken:
            self._broken = True
            return [*events, _error(broken.name, str(broken))]
        self._pieces = [held[start:]]
        self._held = len(held) - start
        self._needed = needed
        return events


class _BrokenFrameError(ValueError):
    """Bytes that are not a frame. `name` is that of the exception that botocore raises."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def _needed(held: bytes, start: int) -> int:
    """Return how many bytes from `start` the next step needs: the prelude or, after that, the complete frame."""
    if len(held) - start < _PRELUDE.size:
        return _PRELUDE.size
    length, headers, checksum = _PRELUDE.unpack_from(held, start)
    # before the lengths are used: botocore checks in this order too, and the name of the error is what programs see
    _check(crc32(held[start : start + 8]), checksum)
    if headers > _LARGEST_HEADERS:
        raise _BrokenFrameError("InvalidHeadersLength", f"headers of {headers} bytes are longer than AWS sends")
    payload = length - headers - _PRELUDE.size - _CHECKSUM.size
    if not 0 <= payload <= _LARGEST_PAYLOAD:
        raise _BrokenFrameError("InvalidPayloadLength", f"a payload of {payload} bytes is not one that AWS sends")
    return int(length)


def _check(computed: int, stated: int) -> None:
    if computed != stated:
        raise _BrokenFrameError("ChecksumMismatch", f"checksum 0x{computed:08x} of the bytes is not 0x{stated:08x}")


def _event(frame: bytes, bare: bool) -> Event | None:
    """Return the event in a complete frame; None where the client skips the frame."""
    _, size, _ = _PRELUDE.unpack_from(frame)
    _check(crc32(frame[: -_CHECKSUM.size]), *_CHECKSUM.unpack(frame[-_CHECKSUM.size :]))
    headers = _headers(frame[_PRELUDE.size : _PRELUDE.size + size])
    data = frame[_PRELUDE.size + size : -_CHECKSUM.size]
    payload = _json(data)
    if headers.get(":message-type") in ("exception", "error"):
        if name := headers.get(":exception-type"):
            body = payload if isinstance(payload, dict) else {}
            return _error(name, str(body.get("Message", body.get("message", ""))))
        return _error(headers.get(":error-code", ""), headers.get(":error-message", ""))
    name = headers.get(":event-type")
    if bare:
        return Event(name, data.decode("utf-8", "replace")) if name else None
    # The payload encloses an event of the Messages API.
    encoded = payload.get("bytes") if isinstance(payload, dict) and name == "chunk" else None
    if not isinstance(encoded, str):
        return None
    try:
        enclosed = base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    value = _json(enclosed.encode())
    event_name = value.get("type") if isinstance(value, dict) else None
    return Event(event_name, enclosed) if isinstance(event_name, str) else None


def _headers(data: bytes) -> dict[str, str]:
    """Return the headers whose values are strings: no other one matters here."""
    strings: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            # A header is the length of its name, the name, the type of its value, for some types its length, the value.
            start = at + 2 + data[at]
            name, value_type = data[at + 1 : start - 1].decode("utf-8", "replace"), data[start - 1]
            if value_type in _TYPES_WITH_LENGTH:
                (size,) = struct.unpack_from(">H", data, start)
                start += 2
            else:
                size = _FIXED_SIZES[value_type]
            at = start + size
            if value_type == _STRING:
                strings[name] = data[start:at].decode("utf-8", "replace")
    except (IndexError, KeyError, struct.error) as reason:
        raise _BrokenFrameError("ParserError", "the frame's headers cannot be read") from reason
    if at != len(data):
        raise _BrokenFrameError("ParserError", "a header is longer than the frame says")
    return strings


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _error(name: str, message: str) -> Event:
    return Event("error", json.dumps({"type": "error", "error": {"type": name, "message": message}}))
