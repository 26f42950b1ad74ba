"""The reader of recordings: JSON lines to exchanges, each line checked on its own and in its place.

It accepts what the writer writes, and what a careful hand edits: keys in any order, `connect` and
`headers` left out. Everything else is an error that names the line.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from datetime import datetime
from pathlib import Path
from typing import Any, Never

from pytest_claude_latency.duration import MICROSECOND, Nanoseconds
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.exchange import (
    Chunk,
    Connect,
    End,
    Exchange,
    Headers,
    Request,
    Response,
    canonical,
)

FORMAT = "claude-latency-cassette"
VERSION = 1
MAX_MICROSECONDS = 10**15  # 31 years: up to here a float of milliseconds holds three decimals exactly

# kind of line → kinds it may stand behind ("" is the header, "end" the end of the exchange before)
_FOLLOWS = {
    "request": {"", "end"},
    "connect": {"request"},
    "response": {"request", "connect"},
    "chunk": {"response", "chunk"},
    "end": {"request", "connect", "response", "chunk"},
}
# kind of line → keys it must have, keys it may have
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "request": ({"request", "at", "method", "url"}, {"headers", "json", "body", "base64"}),
    "connect": ({"connect", "at", "ms"}, set()),
    "response": ({"response", "at", "status"}, {"headers"}),
    "chunk": ({"chunk", "at"}, {"text", "base64"}),
    "end": ({"end", "at"}, {"error", "closed"}),
}
_HEADER_KEYS = {"format", "version", "test", "sample", "recorded", "anthropic"}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class _FaultError(ValueError):
    """What is wrong with a line."""


def read(text: str, path: Path) -> tuple[dict[str, Any], tuple[Exchange, ...]]:
    """The header and the exchanges of a recording.

    Raises:
        CassetteError: it cannot be read: which line, and why.
    """
    if not text.strip():
        raise CassetteError(path, None, "the file is empty")
    lines = text.removesuffix("\n").split("\n")
    exchanges = _Exchanges()
    header: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        try:
            fact = _fact(line)
            if number == 1:
                header = _header(fact)
            else:
                exchanges.add(fact)
        except _FaultError as fault:
            cut_off = number == len(lines) and not text.endswith("\n") and isinstance(fault.__cause__, ValueError)
            raise CassetteError(path, number, "the file is cut off in this line" if cut_off else str(fault)) from None
    try:
        return header, exchanges.whole()
    except _FaultError as fault:
        raise CassetteError(path, len(lines), str(fault)) from None


def _refuse_constant(constant: str) -> Never:
    raise _FaultError(f"{constant} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fact = dict(pairs)
    if len(fact) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in fact if keys.count(key) > 1)
        raise _FaultError(f'the key "{twice}" stands twice')
    return fact


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _fact(line: str) -> dict[str, Any]:
    if not line.strip():
        raise _FaultError("the line is empty")
    try:
        fact = _DECODER.decode(line)
    except _FaultError:
        raise
    except (ValueError, RecursionError) as error:
        raise _FaultError(f"it is not JSON ({error})") from error
    if not isinstance(fact, dict):
        raise _FaultError("it is not a JSON object")
    return fact


def _header(fact: dict[str, Any]) -> dict[str, Any]:
    if fact.get("format") != FORMAT:
        raise _FaultError(f'it is not a recording of this plugin: the first line has no "format": "{FORMAT}"')
    version = fact.get("version")
    if type(version) is not int or version < 1:
        raise _FaultError(f'"version" is {_show(version)}, expected a whole number')
    if version > VERSION:
        raise _FaultError(
            f"it has version {version}, this plugin reads up to {VERSION}: a newer pytest-claude-latency wrote it"
        )
    _check_keys(fact, _HEADER_KEYS, set())
    for key in ("test", "recorded", "anthropic"):
        _string(fact, key)
    if _whole(fact, "sample") < 1:
        raise _FaultError(f'"sample" is {fact["sample"]}, samples count from 1')
    _check_moment(fact["recorded"])
    return fact


def _check_moment(moment: str) -> None:
    try:
        if not _MOMENT.fullmatch(moment):
            raise ValueError
        datetime.fromisoformat(moment)
    except ValueError:
        raise _FaultError(f'"recorded" is {_show(moment)}, expected a moment like "2026-11-22T11:30:00.000Z"') from None


class _Exchanges:
    """The exchanges read so far, and the one that is being read."""

    def __init__(self) -> None:
        self._done: list[Exchange] = []
        self._previous = ""
        self._last_sent: Nanoseconds = 0
        self._last: Nanoseconds = 0
        self._sent: Nanoseconds = 0
        self._request = Request("", "")
        self._connect: Connect | None = None
        self._response: Response | None = None
        self._chunks: list[Chunk] = []

    def add(self, fact: dict[str, Any]) -> None:
        kind = _kind(fact)
        _check_keys(fact, *_KEYS[kind])
        if self._previous not in _FOLLOWS[kind]:
            behind = f'a line "{self._previous}"' if self._previous else "the first line"
            raise _FaultError(f'a line "{kind}" cannot stand behind {behind}')
        number = len(self._done) + 1
        if _whole(fact, kind) != number:
            raise _FaultError(f'"{kind}" is {fact[kind]}, expected {number}: exchanges are numbered from 1, each whole')
        getattr(self, f"_add_{kind}")(fact)
        self._previous = kind

    def whole(self) -> tuple[Exchange, ...]:
        if self._previous not in ("", "end"):
            raise _FaultError(f'the file is cut off: exchange {len(self._done) + 1} has no line "end"')
        return tuple(self._done)

    def _add_request(self, fact: dict[str, Any]) -> None:
        self._sent = _time(fact, "at", self._sent, "its exchange was sent before the one above")
        self._last = 0
        self._connect, self._response, self._chunks = None, None, []
        self._request = Request(_string(fact, "method"), _string(fact, "url"), _headers(fact), _content(fact))

    def _add_connect(self, fact: dict[str, Any]) -> None:
        self._connect = Connect(self._moment(fact), _time(fact, "ms"))

    def _add_response(self, fact: dict[str, Any]) -> None:
        at, status = self._moment(fact), _whole(fact, "status")
        if not 100 <= status <= 599:
            raise _FaultError(f'"status" is {status}, expected 100 to 599')
        self._response = Response(at, status, _headers(fact))

    def _add_chunk(self, fact: dict[str, Any]) -> None:
        at = self._moment(fact)
        if ("text" in fact) == ("base64" in fact):
            raise _FaultError('a chunk has either "text" or "base64"')
        self._chunks.append(Chunk(at, _data(fact, "text") if "text" in fact else _base64(fact)))

    def _add_end(self, fact: dict[str, Any]) -> None:
        at, error, closed = self._moment(fact), fact.get("error"), fact.get("closed")
        if "error" in fact and not _string(fact, "error"):
            raise _FaultError('"error" is empty, expected the name of an exception')
        if "closed" in fact and closed != "client":
            raise _FaultError(f'"closed" is {_show(closed)}, expected "client"')
        if error and closed:
            raise _FaultError('an end has "error" or "closed", not both')
        end = End(at, error, closed)
        chunks = tuple(self._chunks)
        self._done.append(Exchange(self._sent, self._request, self._connect, self._response, chunks, end))

    def _moment(self, fact: dict[str, Any]) -> Nanoseconds:
        self._last = _time(fact, "at", self._last, "time never runs backwards within an exchange")
        return self._last


def _kind(fact: dict[str, Any]) -> str:
    kinds = [kind for kind in _KEYS if kind in fact]
    if len(kinds) != 1:
        raise _FaultError(f"it is no line of a recording: expected exactly one of the keys {_names(_KEYS)}")
    return kinds[0]


def _check_keys(fact: dict[str, Any], required: set[str], optional: set[str]) -> None:
    keys = fact.keys()
    if missing := required - keys:
        raise _FaultError(f"it lacks {_names(sorted(missing))}")
    if unknown := keys - required - optional:
        raise _FaultError(f"it has {_names(sorted(unknown))}, which version {VERSION} does not know")


def _names(keys: Any) -> str:
    return ", ".join(f'"{key}"' for key in keys)


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _string(fact: dict[str, Any], key: str) -> str:
    value = fact[key]
    if not isinstance(value, str):
        raise _FaultError(f'"{key}" is {_show(value)}, expected a text')
    return value


def _whole(fact: dict[str, Any], key: str) -> int:
    value = fact[key]
    if type(value) is not int:
        raise _FaultError(f'"{key}" is {_show(value)}, expected a whole number')
    return value


def _time(fact: dict[str, Any], key: str, earliest: Nanoseconds = 0, reason: str = "") -> Nanoseconds:
    """Milliseconds as nanoseconds, without the error floats bring in."""
    value = fact[key]
    if type(value) not in (int, float):
        raise _FaultError(f'"{key}" is {_show(value)}, expected milliseconds')
    if not 0 <= value <= MAX_MICROSECONDS / 1000:
        raise _FaultError(f'"{key}" is {_show(value)}, expected milliseconds from 0 to 31 years')
    microseconds: int = round(value * 1000)
    if microseconds / 1000 != value:
        raise _FaultError(f'"{key}" is {_show(value)}, expected at most three decimals')
    if microseconds * MICROSECOND < earliest:
        raise _FaultError(f'"{key}" is {_show(value)}, after {earliest / 1_000_000}: {reason}')
    return microseconds * MICROSECOND


def _headers(fact: dict[str, Any]) -> Headers:
    """Headers are an object; where a name repeats, which an object cannot hold, an array of pairs."""
    headers = fact.get("headers", {})
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
        raise _FaultError('"headers" is not an object of texts, nor an array of pairs of texts')
    return tuple((name, value) for name, value in pairs)


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(each, str) for each in pair)


def _content(fact: dict[str, Any]) -> bytes:
    forms = [key for key in ("json", "body", "base64") if key in fact]
    if len(forms) > 1:
        raise _FaultError(f"a request has one body, it has {_names(forms)}")
    if "json" in fact:
        return _json(fact["json"])
    return _data(fact, "body") if "body" in fact else _base64(fact) if forms else b""


def _json(value: Any) -> bytes:
    try:
        return canonical(json.dumps(value, allow_nan=False).encode())
    except ValueError:
        raise _FaultError('"json" holds a number that is too large') from None


def _data(fact: dict[str, Any], key: str) -> bytes:
    try:
        return _string(fact, key).encode()
    except UnicodeEncodeError:
        raise _FaultError(f'"{key}" holds half a surrogate pair, which UTF-8 cannot hold') from None


def _base64(fact: dict[str, Any]) -> bytes:
    try:
        return b64decode(_string(fact, "base64"), validate=True)
    except _FaultError:
        raise
    except ValueError:
        raise _FaultError('"base64" is not base64') from None
