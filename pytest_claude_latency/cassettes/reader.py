"""The reader of cassettes: JSON lines, each a struct of its kind, put together to exchanges.

What the version of a file does not know is an error that names the line. Version 1 is read for ever.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, UnsetType, field

from pytest_claude_latency.duration import MICROSECOND, MILLISECOND, Nanoseconds
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.known_files import CASSETTE
from pytest_claude_latency.messages_api.exchange import (
    Chunk,
    Connect,
    End,
    Exchange,
    Headers,
    Request,
    Response,
    compact,
)
from pytest_claude_latency.strict_json import (
    JSONFaultError,
    JSONLines,
    Line,
    check_format,
    convert,
    key_list,
    kind_of,
    show,
)

FORMAT = CASSETTE
VERSION = 2
MAX_MICROSECONDS = 10**15  # 31 years: up to here a float of milliseconds holds three decimals exactly

Milliseconds: TypeAlias = Annotated[
    float, Meta(ge=0, le=MAX_MICROSECONDS / 1000, description="milliseconds from 0 to 31 years")
]
HeaderForms: TypeAlias = Annotated[
    dict[str, str] | list[tuple[str, str]], Meta(description="an object of texts or an array of pairs of texts")
]
"""An array where a name repeats, which an object cannot hold."""
WholeNumber: TypeAlias = Annotated[int, Meta(ge=1, description="a whole number from 1")]
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Header(Line, frozen=True):
    """The first line.

    `samples` is the size of the set that the recording belongs to, left out where it has none. `set` is a mark that
    all recordings of that set have, and no others; a set of one needs none.
    """

    format: str
    version: int
    test: str
    sample: WholeNumber
    recorded: str
    client: str
    samples: WholeNumber | UnsetType = UNSET
    set: str | UnsetType = UNSET


class Version1Header(Line, frozen=True):
    """The first line of version 1: all recordings were made with Anthropic's SDK."""

    format: str
    version: int
    test: str
    sample: WholeNumber
    recorded: str
    anthropic: str

    def updated(self) -> Header:
        """Return the first line that says the same in the present version."""
        client = f"anthropic {self.anthropic}".rstrip()
        return Header(
            format=self.format,
            version=self.version,
            test=self.test,
            sample=self.sample,
            recorded=self.recorded,
            client=client,
        )


class RequestLine(Line, frozen=True):
    """What was sent. A request has one body, in one of three forms, or none."""

    request: int
    at: Milliseconds
    method: str
    url: str
    headers: HeaderForms = field(default_factory=dict)
    json: Any | UnsetType = UNSET
    body: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET


class ConnectLine(Line, frozen=True):
    """A connection that had to be opened."""

    connect: int
    at: Milliseconds
    ms: Milliseconds


class ResponseLine(Line, frozen=True):
    """Status and headers."""

    response: int
    at: Milliseconds
    status: Annotated[int, Meta(ge=100, le=999, description="a whole number from 100 to 999")]
    headers: HeaderForms = field(default_factory=dict)
    encoding: str | UnsetType = UNSET
    late: Milliseconds | UnsetType = UNSET


class ChunkLine(Line, frozen=True):
    """Bytes of the answer."""

    chunk: int
    at: Milliseconds
    late: Milliseconds | UnsetType = UNSET
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET


class EndLine(Line, frozen=True):
    """How the exchange ended."""

    end: int
    at: Milliseconds
    error: str | UnsetType = UNSET
    closed: Annotated[Literal["client"], Meta(description='"client"')] | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Version1EndLine(Line, frozen=True):
    """How the exchange ended, in version 1."""

    end: int
    at: Milliseconds
    error: str | UnsetType = UNSET
    closed: Annotated[Literal["client"], Meta(description='"client"')] | UnsetType = UNSET


_LINES: dict[str, type[Line]] = {
    "request": RequestLine,
    "connect": ConnectLine,
    "response": ResponseLine,
    "chunk": ChunkLine,
    "end": EndLine,
}
# Its `end` knows no "message". Reading one there would accept what no version ever wrote.
_VERSION_1_LINES = _LINES | {"end": Version1EndLine}
# kind of line → kinds that it may follow ("" is the header, "end" the end of the exchange before)
_FOLLOWS = {
    "request": {"", "end"},
    "connect": {"request"},
    "response": {"request", "connect"},
    "chunk": {"response", "chunk"},
    "end": {"request", "connect", "response", "chunk"},
}


def read(text: str, path: Path) -> tuple[Header, tuple[Exchange, ...]]:
    """Return the header and the exchanges of a recording. `path` is where it came from, for messages.

    Raises:
        CassetteError: it cannot be read: which line, and why.
    """
    lines = JSONLines(text)
    header: Header | None = None
    exchanges = _Exchanges(_LINES)
    try:
        for fact in lines:
            if header is not None:
                exchanges.add(fact)
                continue
            header = read_header(fact)
            if header.version == 1:
                exchanges = _Exchanges(_VERSION_1_LINES)
        assert header is not None  # a text without lines is refused before this
        return header, exchanges.complete()
    except JSONFaultError as fault:
        raise CassetteError(path, lines.number, str(fault)) from None


def read_header(fact: dict[str, Any]) -> Header:
    """Return the first line of a recording of any version.

    Raises:
        JSONFaultError: it is not the first line of a recording that this version knows.
    """
    check_format(fact, FORMAT, VERSION, "a recording")
    header = convert(fact, Version1Header).updated() if fact["version"] == 1 else convert(fact, Header)
    try:
        datetime.fromisoformat(header.recorded)  # refuses the 31st of November
        is_moment = _MOMENT.fullmatch(header.recorded) is not None
    except ValueError:
        is_moment = False
    if not is_moment:
        expected = 'a moment like "2026-11-22T11:30:00.000Z"'
        raise JSONFaultError(f'"recorded" is {show(header.recorded)}, expected {expected}')
    return header


class _Exchanges:
    """The exchanges read so far, and the one that is being read."""

    def __init__(self, kinds: Mapping[str, type[Line]]) -> None:
        self._kinds = kinds
        self._complete: list[Exchange] = []
        self._previous = ""  # the kind of the line above; "" is the header
        self._latest: Nanoseconds = 0  # the instant of the line above, in its exchange
        self._sent: Nanoseconds = 0
        self._request = Request("", "")
        self._connect: Connect | None = None
        self._response: Response | None = None
        self._chunks: list[Chunk] = []

    def add(self, fact: dict[str, Any]) -> None:
        kind = kind_of(fact, self._kinds, "a recording")
        line = convert(fact, self._kinds[kind])
        # The order is checked before the values: a line in the wrong place says more about what went wrong.
        if self._previous not in _FOLLOWS[kind]:
            above = f'a line "{self._previous}"' if self._previous else "the first line"
            raise JSONFaultError(f'a line "{kind}" cannot follow {above}')
        number = len(self._complete) + 1
        if fact[kind] != number:
            raise JSONFaultError(
                f'"{kind}" is {fact[kind]}, expected {number}: exchanges are numbered from 1, one after the other'
            )
        match line:
            case RequestLine():
                self._sent = _nanoseconds(line.at, "at", self._sent, "its exchange was sent before the one above")
                self._latest, self._connect, self._response, self._chunks = 0, None, None, []
                self._request = Request(line.method, _url(line.url), _headers(line.headers), _content(line))
            case ConnectLine():
                self._connect = Connect(self._moment(line.at), _nanoseconds(line.ms, "ms"))
            case ResponseLine():
                encoding = None if line.encoding is UNSET else str(line.encoding)
                at, late = self._moment(line.at), _late(line.late, line.at)
                self._response = Response(at, line.status, _headers(line.headers), encoding, late)
            case ChunkLine():
                if (line.text is UNSET) == (line.base64 is UNSET):
                    raise JSONFaultError('a chunk has either "text" or "base64"')
                data = _utf8("text", line.text) if line.text is not UNSET else _from_base64(str(line.base64))
                self._chunks.append(Chunk(self._moment(line.at), data, _late(line.late, line.at)))
            case Version1EndLine():
                self._finish(EndLine(end=line.end, at=line.at, error=line.error, closed=line.closed))
            case EndLine():
                self._finish(line)
        self._previous = kind

    def complete(self) -> tuple[Exchange, ...]:
        if self._previous not in ("", "end"):
            raise JSONFaultError(f'the file is cut off: exchange {len(self._complete) + 1} has no line "end"')
        return tuple(self._complete)

    def _finish(self, line: EndLine) -> None:
        if line.error == "":
            raise JSONFaultError('"error" is empty, expected the name of an exception')
        if line.error is not UNSET and line.closed is not UNSET:
            raise JSONFaultError('an end has "error" or "closed", not both')
        if line.message is not UNSET and line.error is UNSET:
            raise JSONFaultError('an end has "message" only where it has "error": it is the text of the exception')
        message = None if line.message is UNSET else line.message
        end = End(self._moment(line.at), line.error or None, line.closed or None, message)
        chunks = tuple(self._chunks)
        self._complete.append(Exchange(self._sent, self._request, self._connect, self._response, chunks, end))

    def _moment(self, at: float) -> Nanoseconds:
        self._latest = _nanoseconds(at, "at", self._latest, "time never runs backwards within an exchange")
        return self._latest


def _nanoseconds(milliseconds: float, key: str, earliest: Nanoseconds = 0, reason: str = "") -> Nanoseconds:
    """Milliseconds as nanoseconds, without the error that floats bring in."""
    microseconds: int = round(milliseconds * 1000)
    if microseconds / 1000 != milliseconds:  # finer times would be lost when the recording is written again
        raise JSONFaultError(f'"{key}" is {show(milliseconds)}, expected at most three decimals')
    if microseconds * MICROSECOND < earliest:
        raise JSONFaultError(f'"{key}" is {show(milliseconds)}, after {earliest / MILLISECOND}: {reason}')
    return microseconds * MICROSECOND


def _late(late: float | UnsetType, at: float) -> Nanoseconds:
    if late is UNSET:
        return 0
    if late > at:
        raise JSONFaultError(
            f'"late" is {show(late)}, expected at most {show(at)}: nothing comes before it was asked for'
        )
    return _nanoseconds(late, "late")


def _url(url: str) -> str:
    try:
        urlsplit(url).port  # noqa: B018 - what is read later must not fail there: hosts and ports are checked here
    except ValueError:
        raise JSONFaultError(f'"url" is {show(url)}, expected a URL') from None
    return url


def _headers(headers: HeaderForms) -> Headers:
    return tuple(headers.items() if isinstance(headers, dict) else headers)


def _content(line: RequestLine) -> bytes:
    bodies = {"json": line.json, "body": line.body, "base64": line.base64}
    forms = [form for form, body in bodies.items() if body is not UNSET]
    if len(forms) > 1:
        raise JSONFaultError(f"a request has one body, it has {key_list(forms)}")
    if line.body is not UNSET:
        return _utf8("body", line.body)
    if line.base64 is not UNSET:
        return _from_base64(line.base64)
    if line.json is UNSET:
        return b""
    try:
        # In the one form in which doors note a request too, so that saving and loading a recording changes nothing.
        return compact(line.json, allow_nan=False)
    except ValueError:
        raise JSONFaultError('"json" holds a number that is too large') from None


def _utf8(key: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise JSONFaultError(f'"{key}" holds half a surrogate pair, which UTF-8 cannot hold') from None


def _from_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise JSONFaultError('"base64" is not base64') from None
