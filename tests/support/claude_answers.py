"""Answers of the test server: the bytes that it sends for one request, and when it sends them.

An answer is a list of parts, each with the gap that lies before it; parts with
no gap between them leave in one write. Builders make valid answers (`text`,
`message`, `json_answer`, `status`); methods of `Answer` then break them, one
way each. Durations are what `duration.parse` reads: `"20ms"`, seconds, `timedelta`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, repeat
from typing import Literal, TypeAlias

from pytest_claude_latency.duration import Nanoseconds, parse

Duration: TypeAlias = object
Headers: TypeAlias = tuple[tuple[str, str], ...]
Encoding: TypeAlias = Literal["gzip", "deflate"]
Ending: TypeAlias = Literal["complete", "close", "reset", "silence"]

JSON = "application/json"

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Timetable:
    """When an answer arrives: headers after `ttfb`, then a gap before each content part, then `end` to the end.

    Content parts beyond the gaps given follow at once.
    """

    ttfb: Nanoseconds = 0
    gaps: tuple[Nanoseconds, ...] = ()
    end: Nanoseconds = 0

    @classmethod
    def of(cls, ttfb: Duration = 0, gaps: Iterable[Duration] = (), end: Duration = 0) -> Timetable:
        """Return a timetable from durations as text, for example `"20ms"`."""
        return cls(parse(ttfb), tuple(parse(gap) for gap in gaps), parse(end))

    @property
    def total(self) -> Nanoseconds:
        """Return the time from the request to the end of the answer."""
        return self.ttfb + sum(self.gaps) + self.end


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a body, decompressed, and the gap before them. `content`: a delta, or a piece someone cut."""

    data: bytes
    gap: Nanoseconds = 0
    content: bool = False


@dataclass(frozen=True)
class Answer:
    """What one request gets. `status` None: no response at all, only the ending.

    `unstreamed`, where given, goes to a request that does not ask for a stream.
    """

    status: int | None = 200
    headers: Headers = ()
    ttfb: Nanoseconds = 0
    parts: tuple[Part, ...] = ()
    end: Nanoseconds = 0
    ending: Ending = "complete"
    encoding: Encoding | None = None
    chunked: bool = False
    unstreamed: Answer | None = None

    @property
    def body(self) -> bytes:
        """Return the complete body, decompressed."""
        return b"".join(part.data for part in self.parts)

    def with_headers(self, **headers: str) -> Answer:
        """Add these headers; `_` in a name becomes `-`."""
        more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return self._both(lambda answer: replace(answer, headers=answer.headers + more))

    def compressed(self, encoding: Encoding = "gzip") -> Answer:
        """Compress the body, and flush after each write, so that each part can be read when it arrives."""
        return self._both(lambda answer: replace(answer, encoding=encoding, chunked=True))

    def split(self, *, size: int | None = None, at: Iterable[int] = (), gap: Duration = "1ms") -> Answer:
        """Cut the body into pieces of `size` bytes, or at the given offsets, at least `gap` apart.

        A piece leaves when its last byte is due, so cuts may lie anywhere.
        """
        cuts = range(size, len(self.body), size) if size else sorted({cut for cut in at if 0 < cut < len(self.body)})
        return replace(self, parts=tuple(_pieces(self.parts, [0, *cuts, len(self.body)], parse(gap))), chunked=True)

    def split_in_characters(self, gap: Duration = "1ms") -> Answer:
        """Cut the body after the first byte of each character that has several bytes."""
        return self.split(at=(index + 1 for index, byte in enumerate(self.body) if byte >= 0xC0), gap=gap)

    def dropped(self, after: int, *, wait: Duration = 0, reset: bool = False) -> Answer:
        """Close the connection after this many content parts and `wait`, with a normal end or with a TCP reset."""
        return replace(self, parts=self._up_to(after), end=parse(wait), ending="reset" if reset else "close")

    def stalled(self, after: int) -> Answer:
        """Send nothing more after this many content parts."""
        return replace(self, parts=self._up_to(after), ending="silence")

    def failing(self, after: int, *, gap: Duration = 0, kind: str = "overloaded_error") -> Answer:
        """End with the `error` event of an overload after this many content parts."""
        error = {"details": None, "type": kind, "message": kind.removesuffix("_error").capitalize()}
        data = f'{{"type":"error","error":{json.dumps(error, separators=(",", ":"))} }}'
        return replace(self, parts=(*self._up_to(after), Part(f"event: error\ndata: {data}\n\n".encode(), parse(gap))))

    def without_last_blank_line(self) -> Answer:
        """Leave the last event of the stream unfinished: clients that follow the standard do not see it."""
        last = self.parts[-1]
        return replace(self, parts=(*self.parts[:-1], replace(last, data=last.data.removesuffix(b"\n"))))

    def without_event_names(self) -> Answer:
        """Write frames with `data:` but without `event:`."""
        return replace(self, parts=tuple(replace(part, data=_without_event_name(part.data)) for part in self.parts))

    def with_part(self, index: int, data: bytes, *, gap: Duration = 0) -> Answer:
        """Insert these bytes before the part that is now at `index`."""
        return replace(self, parts=(*self.parts[:index], Part(data, parse(gap)), *self.parts[index:]))

    def _up_to(self, content: int) -> tuple[Part, ...]:
        places = [place for place, part in enumerate(self.parts) if part.content]
        if not 0 <= content <= len(places):
            raise ValueError(f"the answer has {len(places)} content parts, not {content}")
        if content == 0:
            return self.parts[: places[0]] if places else ()
        return self.parts[: places[content - 1] + 1]

    def _both(self, change: Callable[[Answer], Answer]) -> Answer:
        other = change(self.unstreamed) if self.unstreamed else None
        return replace(change(self), unstreamed=other)


def _pieces(parts: Sequence[Part], bounds: Sequence[int], gap: Nanoseconds) -> Iterator[Part]:
    ends = list(accumulate(len(part.data) for part in parts))
    dues = list(accumulate(part.gap for part in parts))
    body = b"".join(part.data for part in parts)
    before = 0
    for start, stop in pairwise(bounds):
        due = dues[bisect_left(ends, stop)]  # the time of the part that has the last byte of the piece
        wait = max(due - before, gap if start else 0)
        before += wait
        yield Part(body[start:stop], wait, content=True)


def _without_event_name(frame: bytes) -> bytes:
    return re.sub(rb"(?m)^event: .*\n", b"", frame)


def json_answer(
    value: object,
    *,
    status: int = 200,
    ttfb: Duration = 0,
    pieces: int = 1,
    gaps: Iterable[Duration] = (),
    end: Duration = 0,
) -> Answer:
    """Return an answer with a JSON body in `pieces` of equal size, a gap before each, and `end` before its end."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    size = -(-len(body) // pieces)
    waits = (*(parse(gap) for gap in gaps), *repeat(0, pieces))
    parts = tuple(
        Part(body[start : start + size], wait, content=True)
        for start, wait in zip(range(0, len(body), size), waits, strict=False)
    )
    return Answer(status, (("content-type", JSON),), parse(ttfb), parts, parse(end))


def status(
    code: int,
    *,
    retry_after: float | None = None,
    should_retry: bool | None = None,
    ttfb: Duration = 0,
    message: str | None = None,
) -> Answer:
    """Return an error of the API with its JSON body; `retry_after` is in seconds."""
    kind = ERROR_TYPES.get(code, "api_error")
    error = {"type": kind, "message": message or kind.removesuffix("_error").replace("_", " ").capitalize()}
    answer = json_answer({"type": "error", "error": error, "request_id": None}, status=code, ttfb=ttfb)
    if retry_after is not None:
        answer = answer.with_headers(retry_after=f"{retry_after:g}")
    if should_retry is not None:
        answer = answer.with_headers(x_should_retry=json.dumps(should_retry))
    return answer


def redirect(location: str, *, code: int = 307, ttfb: Duration = 0) -> Answer:
    """Return a redirect to a URL or path."""
    return Answer(code, (("location", location),), parse(ttfb))


def silence() -> Answer:
    """Return an answer that never comes."""
    return Answer(status=None, ending="silence")


def hang_up(after: Duration = 0, *, reset: bool = False) -> Answer:
    """Return an answer that closes or resets the connection before any response."""
    return Answer(status=None, end=parse(after), ending="reset" if reset else "close")


def count_tokens(tokens: int, *, ttfb: Duration = 0) -> Answer:
    """Return the answer of `/v1/messages/count_tokens`."""
    return json_answer({"input_tokens": tokens}, ttfb=ttfb)
