"""Frames of AWS event streams, made by hand, as Bedrock sends them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import TypeAlias
from zlib import crc32

CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


Header: TypeAlias = str | tuple[int, bytes]
"""A text, or the number of another type with the bytes of its value."""

OTHER_HEADERS: dict[str, Header] = {
    "true": (0, b""),
    "false": (1, b""),
    "byte": (2, b"\x01"),
    "short": (3, b"\x01\x02"),
    "integer": (4, b"\x01\x02\x03\x04"),
    "long": (5, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
    "bytes": (6, b"\x00\x02ab"),
    "timestamp": (8, b"\x00\x00\x01\x02\x03\x04\x05\x06"),
    "uuid": (9, bytes(range(16))),
}
"""One value of each type that is not text."""


def header(name: str, value: Header) -> bytes:
    head = bytes([len(name)]) + name.encode()
    if isinstance(value, tuple):
        return head + bytes([value[0]]) + value[1]
    return head + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()


def frame(headers: Mapping[str, Header], payload: bytes) -> bytes:
    encoded = b"".join(header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(encoded) + len(payload), len(encoded))
    body = prelude + struct.pack(">I", crc32(prelude)) + encoded + payload
    return body + struct.pack(">I", crc32(body))


def chunk(event: object) -> bytes:
    text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    payload = {"bytes": base64.b64encode(text.encode()).decode(), "p": "abcdefgh"}
    return frame(CHUNK, json.dumps(payload).encode())


def exception(name: str, message: str) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())
