"""Damage: what happens to files on disks, in merges, in proxies and in the hands of people who mean harm."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 1e308, 5e-324, 0.1234567),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "null", "\x00", "\x1b[2J", "\u202e", "\ud800", "x" * 10_000),
    *("../../etc/passwd", "::error::x", "é" * 50, "1e999", [], {}, [[]], {"": None}, [None] * 50, {"type": "error"}),
    *({"index": 10**9}, {"index": -1}, {"a": {"a": {"a": {}}}}, "2026-02-30T00:00:00.000Z", "9" * 5000),
)
_TEXTS = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"<<<<<<< HEAD\n", b"1e999", b"NaN", b"Infinity", b"\\ud800")
_DEEP = (b"[" * 100_000, b'{"a":' * 50_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return the content with one to three faults in it."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = chance.choice(_FAULTS)(content, chance)
    return content


def _bytes(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content or b"x")
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut(content: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.randint(0, len(content)) for _ in range(2))
    return chance.choice((content[:end], content[start:], content[:start] + content[end:]))


def _inserted(content: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(content))
    return content[:place] + chance.choice(_TEXTS + _DEEP) + content[place:]


def _lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    act = chance.randrange(3)
    if act == 0:
        lines[place], lines[other] = lines[other], lines[place]
    elif act == 1:
        lines.insert(place, lines[other])
    else:
        del lines[place]
    return b"\n".join(lines)


def _values(content: bytes, chance: random.Random) -> bytes:
    """Change a value somewhere in a line of JSON, or in the whole file, also in JSON that stands in a text."""
    lines = content.split(b"\n")
    place = chance.randrange(len(lines))
    for text, whole in ((lines[place], False), (content, True)):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        changed = json.dumps(_changed(value, chance)).encode()
        if whole:
            return changed
        return b"\n".join([*lines[:place], changed, *lines[place + 1 :]])
    return content


def _changed(value: Any, chance: random.Random) -> Any:
    """Return the value with one of the values in it replaced, removed or added."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {kept: inner for kept, inner in value.items() if kept != key}
        if chance.random() < 0.1:
            return {**value, chance.choice(("", "x", "at", "text", "error", "\x1b")): chance.choice(ODD_VALUES)}
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [*value[:place], _changed(value[place], chance), *value[place + 1 :]]
    if isinstance(value, str) and "{" in value and chance.random() < 0.8:
        return _values(value.encode(errors="surrogatepass"), chance).decode(errors="replace")
    return chance.choice(ODD_VALUES)


def _events(content: bytes, chance: random.Random) -> bytes:
    """Change a value in an event of a recorded stream: one line of a recording holds texts that hold JSON."""
    lines = content.split(b"\n")
    streamed = [place for place, line in enumerate(lines) if b'"chunk"' in line and b"data: {" in line]
    if not streamed:
        return _values(content, chance)
    place = chance.choice(streamed)
    try:
        chunk = json.loads(lines[place])
        head, mark, data = chunk["text"].partition("data: ")
        event, gap, rest = data.partition("\n\n")
        changed = json.dumps(_changed(json.loads(event), chance))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return content
    lines[place] = json.dumps({**chunk, "text": f"{head}{mark}{changed}{gap}{rest}"}).encode()
    return b"\n".join(lines)


_FAULTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_bytes, _cut, _inserted, _lines),
    *(_values, _values, _values, _events, _events),  # most files that parse are wrong in a value
)
