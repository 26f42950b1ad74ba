"""Frames of AWS event streams as Bedrock sends them, made by hand."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from zlib import crc32

CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


def header(name: str, value: str | bool | int) -> bytes:
    head = bytes([len(name)]) + name.encode()
    if isinstance(value, bool):
        return head + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return head + b"\x05" + struct.pack(">q", value)
    return head + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()


def frame(headers: Mapping[str, str | bool | int], payload: bytes) -> bytes:
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
