"""An exchange: one HTTP attempt, what was asked and what came back when.

A recording stores it, a replay serves it, and every measurement is derived from
it, so live, recorded and replayed numbers come from the same code. `sent` counts
from the start of the test; every other instant counts from the moment its
request was sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.printable import printable

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """What was sent. `content` is the body as bytes; JSON has the form that `canonical` returns."""

    method: str
    url: str
    headers: Headers = ()
    content: bytes = b""
    invocation: str | None = None
    """What all attempts of one call share, where the client library tells: equal for a request and its retries.

    It is known only while a test runs, and no part of what was sent.
    """

    @cached_property
    def json(self) -> Any:
        """The body as a JSON value; None if it is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    @property
    def title(self) -> str:
        """Method and path, as messages name a request. The query is left out: it may hold a key."""
        return printable(f"{self.method} {urlsplit(self.url).path}")

    @property
    def path(self) -> str:
        """Path and query of the URL, without scheme and host."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


@dataclass(frozen=True, slots=True)
class Connect:
    """A connection that had to be opened: when that began, and how long it took (DNS, TCP, TLS)."""

    at: Nanoseconds
    duration: Nanoseconds


@dataclass(frozen=True, slots=True)
class Response:
    """Status and headers, and when they arrived. `encoding` is how its body travelled: compressed so, or as it is.

    `late` is as for a chunk.
    """

    at: Nanoseconds
    status: int
    headers: Headers = ()
    encoding: str | None = None
    late: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the body as they arrived, decompressed. May be empty: such a chunk still resets a read time-out.

    `late` is how much earlier it may have been there, where the program that recorded it kept itself from reading.
    """

    at: Nanoseconds
    data: bytes
    late: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class End:
    """When and how it ended: complete, by an `error` (the name of the exception), or `closed` by the client.

    `message` is the text of the exception, None where it is not known: programs look at it to decide what to do.
    """

    at: Nanoseconds
    error: str | None = None
    closed: Literal["client"] | None = None
    message: str | None = None

    @classmethod
    def of(
        cls, at: Nanoseconds, error: BaseException | None, closed: Literal["client"] | None, called: str | None = None
    ) -> End:
        """Return the end that an error brings, if there is one. `called` names it where its class does not."""
        if isinstance(error, Exception):
            return cls(at, called or type(error).__name__, closed, str(error))
        # A cancellation, ^C or a miss is the program stopping, not the wire.
        return cls(at, closed=closed if error is None else "client")


@dataclass(frozen=True, slots=True)
class FaultMark:
    """The part that an exchange has in a fault: it answers a call that meets one.

    `call` is equal for all exchanges of that call, and for no others of the recording.
    """

    call: int
    is_injected: bool = False
    """Whether it is the fault, which no API sent."""
    is_endless: bool = False
    """Whether each further asking meets it too."""
    pause: Nanoseconds = 0
    """How long the stall is that it put into the answer; 0 if it is another fault."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP attempt. `response` is None if none came; `end` is None while it is under way.

    The last five are known only while a test runs, and no part of what passed: the recorded exchange that answers it
    in a replay, the thread that sent it, what a fault made of it, in a run that calls the API, when the program
    did not read on (from, to), and whether no API ever gave this answer.
    """

    sent: Nanoseconds
    request: Request
    connect: Connect | None = None
    response: Response | None = None
    chunks: tuple[Chunk, ...] = ()
    end: End | None = None
    recorded: Exchange | None = field(default=None, compare=False, repr=False)
    thread: int | None = field(default=None, compare=False, repr=False)
    fault: FaultMark | None = field(default=None, compare=False, repr=False)
    pauses: tuple[tuple[Nanoseconds, Nanoseconds], ...] = field(default=(), compare=False, repr=False)
    is_made_up: bool = field(default=False, compare=False, repr=False)

    @property
    def is_injected(self) -> bool:
        """Whether a fault put it there, so that no recording has it."""
        return self.fault is not None and self.fault.is_injected

    @property
    def meets_fault(self) -> bool:
        """Whether a fault answered it, in a replay."""
        return self.recorded is not None and self.recorded.is_injected

    @property
    def is_redirect(self) -> bool:
        """Whether it only sent the client elsewhere: a step of an attempt, not an attempt."""
        return self.response is not None and redirects(self.response.status)


def redirects(status: int) -> bool:
    """Return whether an answer with this status sends the client elsewhere."""
    return 300 <= status < 400


def header(headers: Headers, name: str) -> str | None:
    """Return the first value of the header `name` (lower case), or None."""
    for key, value in headers:  # no generator: each request of a test is asked for several
        if key.lower() == name:
            return value
    return None


# Made once: `json.dumps` makes one for each call that is not a plain one.
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_COMPACT_NUMBERS = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def canonical(content: bytes) -> bytes:
    """Return a JSON body in the form that recordings keep: compact, keys in their order, UTF-8. Others unchanged."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content
    return compact(value)


def compact(value: Any, *, allow_nan: bool = True) -> bytes:
    """Return a JSON value in that form.

    Raises:
        ValueError: it holds a number that JSON has not, and none is allowed.
    """
    text = (_COMPACT if allow_nan else _COMPACT_NUMBERS).encode(value)
    # Half a surrogate pair, which JSON can hold, has no UTF-8; a prompt that holds it must still be recorded.
    return text.encode(errors="surrogatepass")
