"""AWS event streams: the binary framing in which Bedrock sends a streamed answer.

Each frame carries one event of the Messages API, as base64 inside a small JSON
object. `Decoder` has the face of `sse.Decoder`, so that whatever reads an
answer need not know in which of the two it came. What the SDK would raise, an
exception sent by AWS or a frame that is broken, becomes an `error` event here.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any, final
from zlib import crc32

from pytest_claude_latency.messages_api.sse import Event

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")  # length of the frame, length of its headers, checksum of these two
_CHECKSUM = struct.Struct(">I")
_LARGEST_HEADERS = 128 * 1024
_LARGEST_PAYLOAD = 24 * 1024 * 1024

_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # by type of header: bytes of its value
_STRING = 7
_TYPES_WITH_LENGTH = (6, _STRING)


@final
class Decoder:
    """Turns the bytes of one stream into its events.

    Time is linear in the bytes fed, whatever their cut: they are joined only
    when there are enough of them for the next part of a frame.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = _PRELUDE.size
        self._broken = False

    def feed(self, data: bytes) -> Iterable[Event]:
        """The events that these bytes complete, in order. Nothing follows a broken frame."""
        self._pieces.append(data)
        self._held += len(data)
        if self._broken or self._held < self._needed:
            return []
        events: list[Event] = []
        try:
            events.extend(event for frame in self._frames() if (event := _event(frame)) is not None)
        except _BrokenFrameError as broken:
            self._broken = True
            events.append(_error(broken.name, str(broken)))
        return events

    def _frames(self) -> Iterator[bytes]:
        held = b"".join(self._pieces)
        start = 0
        while (needed := _needed(held, start)) <= len(held) - start:
            yield held[start : start + needed]
            start += needed
        self._pieces = [held[start:]]
        self._held = len(held) - start
        self._needed = needed


class _BrokenFrameError(ValueError):
    """Bytes that are no frame. `name` is that of the exception botocore raises."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def _needed(held: bytes, start: int) -> int:
    """How many bytes from `start` the next step needs: the prelude, or, once that is there, the whole frame."""
    if len(held) - start < _PRELUDE.size:
        return _PRELUDE.size
    length, headers, checksum = _PRELUDE.unpack_from(held, start)
    _check(crc32(held[start : start + 8]), checksum)
    if headers > _LARGEST_HEADERS:
        raise _BrokenFrameError("InvalidHeadersLength", f"headers of {headers} bytes are longer than AWS sends")
    payload = length - headers - _PRELUDE.size - _CHECKSUM.size
    if not 0 <= payload <= _LARGEST_PAYLOAD:
        raise _BrokenFrameError("InvalidPayloadLength", f"a payload of {payload} bytes is not one AWS sends")
    return int(length)


def _check(computed: int, stated: int) -> None:
    if computed != stated:
        raise _BrokenFrameError("ChecksumMismatch", f"checksum 0x{computed:08x} of the bytes is not 0x{stated:08x}")


def _event(frame: bytes) -> Event | None:
    """The event in a whole frame; None where the SDK makes none of it."""
    _, size, _ = _PRELUDE.unpack_from(frame)
    _check(crc32(frame[: -_CHECKSUM.size]), *_CHECKSUM.unpack(frame[-_CHECKSUM.size :]))
    headers = _headers(frame[_PRELUDE.size : _PRELUDE.size + size])
    payload = _json(frame[_PRELUDE.size + size : -_CHECKSUM.size])
    if headers.get(":message-type") in ("exception", "error"):
        return _aws_error(headers, payload)
    if headers.get(":event-type") != "chunk" or not isinstance(payload, dict):
        return None
    return _claude_event(payload.get("bytes"))


def _headers(data: bytes) -> dict[str, str]:
    """The headers whose values are strings: the others say nothing that matters here."""
    strings: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            value_type = at + 1 + data[at]
            name = data[at + 1 : value_type].decode("utf-8", "replace")
            at, end = _value_span(data, value_type)
            if data[value_type] == _STRING:
                strings[name] = data[at:end].decode("utf-8", "replace")
            at = end
    except (IndexError, KeyError, struct.error) as reason:
        raise _BrokenFrameError("ParserError", "the frame's headers cannot be read") from reason
    if at != len(data):
        raise _BrokenFrameError("ParserError", "a header is longer than the frame says")
    return strings


def _value_span(data: bytes, value_type: int) -> tuple[int, int]:
    """Where the value of the header begins and ends whose type stands at `value_type`."""
    start = value_type + 1
    if data[value_type] in _TYPES_WITH_LENGTH:
        (size,) = struct.unpack_from(">H", data, start)
        return start + 2, start + 2 + size
    return start, start + _FIXED_SIZES[data[value_type]]


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return None


def _aws_error(headers: dict[str, str], payload: Any) -> Event:
    if name := headers.get(":exception-type"):
        body = payload if isinstance(payload, dict) else {}
        return _error(name, str(body.get("Message", body.get("message", ""))))
    return _error(headers.get(":error-code", ""), headers.get(":error-message", ""))


def _error(name: str, message: str) -> Event:
    return Event("error", json.dumps({"type": "error", "error": {"type": name, "message": message}}))


def _claude_event(encoded: object) -> Event | None:
    if not isinstance(encoded, str):
        return None
    try:
        data = base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    value = _json(data.encode())
    name = value.get("type") if isinstance(value, dict) else None
    return Event(name, data) if isinstance(name, str) else None
