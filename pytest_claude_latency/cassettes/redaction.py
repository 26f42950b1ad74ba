"""Redaction: what never reaches the disk.

Headers are kept by an allow-list, so a header that nobody thought of is left out. What the user's patterns
match in a body becomes `[redacted]`: in recordings and, before they are matched, in outgoing requests. So redacting
twice must be the same as redacting once, or a request that quotes a redacted answer would no longer fit.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import Field, replace
from typing import Any, ClassVar, Protocol, TypeVar

from pytest_claude_latency.cassettes.pattern_matches import matches
from pytest_claude_latency.messages_api.body_text import Change, Path, Piece, body_texts, changes, is_protocol
from pytest_claude_latency.messages_api.exchange import Chunk, Exchange, Headers, Request, canonical, redirects
from pytest_claude_latency.messages_api.retries import INVOCATION_HEADER

PLACEHOLDER = "[redacted]"
_MOST_TIMES = 20
"""How often the patterns are applied to a text; twice is usual."""

_KEPT = {"content-type", "anthropic-version", "anthropic-beta", "request-id", "server-timing"}
_KEPT |= {"retry-after", "retry-after-ms", "x-should-retry", "x-amz-retry-after"}  # the SDK's back-off obeys them
_KEPT |= {INVOCATION_HEADER}
_KEPT |= {"x-request-id", "x-amzn-requestid", "x-amzn-errortype"}  # of other clouds and of gateways
# Limits and what is left of them explain a 429; Bedrock gives its counts of tokens in headers too.
_KEPT_PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-", "x-amzn-bedrock-")
_NEVER = re.compile(
    r"authorization|.*-authorization|x-api-key|api-key|.*cookie2?|.*organization.*|.*workspace.*|x-amz-security-token"
    # These describe the bytes on the wire; a recording holds them decoded.
    r"|content-encoding|content-length|transfer-encoding"
)


class Recorded(Protocol):
    """A dataclass that holds exchanges."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """In the order they were sent."""
        ...


RecordedT = TypeVar("RecordedT", bound=Recorded)


def keep_headers(
    headers: Iterable[tuple[str, str]], *, status: int | None = None, also: Collection[str] = ()
) -> Headers:
    """Return the headers that a recording keeps, names in lower case. `also` names more, but never a credential.

    `status` is that of an answer, None for a request.
    """
    wanted = _KEPT | {name.lower() for name in also}
    if status is not None and redirects(status):
        wanted.add("location")  # without it a replay could not follow the redirect
    named = ((name.lower(), value) for name, value in headers)
    return tuple(
        (name, value)
        for name, value in named
        if (name in wanted or name.startswith(_KEPT_PREFIXES)) and not is_never_kept(name)
    )


def is_never_kept(name: str) -> bool:
    """Return whether a header is left out of every recording, whatever a user asks for."""
    return _NEVER.fullmatch(name.lower()) is not None


def redact(recording: RecordedT, patterns: Sequence[re.Pattern[str]]) -> RecordedT:
    """Return the recording with `[redacted]` in place of what the patterns match in its bodies.

    Of JSON only strings change, not keys or numbers. Chunks keep their number and their offsets. A match that is
    spread over several deltas is found; `[redacted]` is then spread over those that it would leave empty.
    """
    # most projects have none, and reading every body takes time
    if not patterns:
        return recording
    exchanges: list[Exchange] = []
    for exchange in recording.exchanges:
        body = b"".join(chunk.data for chunk in exchange.chunks)
        pieces: list[Piece] = []
        for body_text in body_texts(body):
            found = [
                part.stretch(start, end)
                for part in body_text.parts()
                for start, end in stretches(part.text, patterns)
                if part.text[start:end] != PLACEHOLDER
            ]
            if found:
                pieces += body_text.replaced(found, PLACEHOLDER)
        chunks = tuple(_cut_alike(exchange.chunks, changes(pieces)))
        end = exchange.end
        if end is not None and end.message is not None:
            end = replace(end, message=redact_text(end.message, patterns))
        request = redact_request(exchange.request, patterns)
        exchanges.append(replace(exchange, request=request, chunks=chunks, end=end))
    return replace(recording, exchanges=tuple(exchanges))


def redact_request(request: Request, patterns: Sequence[re.Pattern[str]]) -> Request:
    """Return the request as it would be recorded, for matching."""
    if not patterns:  # as in most projects
        content = canonical(request.content)
        return replace(request, content=content) if content != request.content else request
    try:
        value = json.loads(request.content)
    except (ValueError, RecursionError):
        # Any bytes go there and back unchanged, also those of a file.
        text = request.content.decode(errors="surrogateescape")
        content = redact_text(text, patterns).encode(errors="surrogateescape")
    else:
        content = canonical(json.dumps(redact_json(value, patterns)).encode())
    return replace(request, content=content) if content != request.content else request


def redact_json(value: Any, patterns: Sequence[re.Pattern[str]], path: Path = ()) -> Any:
    """Return a JSON value with `[redacted]` in place of what the patterns match in its strings."""
    if isinstance(value, str):
        return value if is_protocol(path) else redact_text(value, patterns)
    if isinstance(value, dict):
        return {key: redact_json(inner, patterns, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact_json(inner, patterns, (*path, index)) for index, inner in enumerate(value)]
    return value


def redact_text(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    """Return a text with `[redacted]` in place of what the patterns match."""
    return _Masked(text, stretches(text, patterns)).text


def stretches(text: str, patterns: Sequence[re.Pattern[str]]) -> list[tuple[int, int]]:
    """Return what of a text becomes `[redacted]`: stretches that do not overlap, in their order.

    The patterns are applied again to what that would leave, until they find nothing new, so that redacting
    the outcome changes nothing. Where each time lets them find one more match, as in a chain of keys with nothing
    between them, a long text would take minutes: the whole text is then one stretch.
    """
    # What is redacted already counts as a stretch: no pattern may take a part of it.
    spans = [match.span() for match in re.finditer(re.escape(PLACEHOLDER), text)]
    for _ in range(_MOST_TIMES):
        masked = _Masked(text, spans)
        found = [match.span() for pattern in patterns for match in matches(pattern, masked.text)]
        new = {masked.original(*match) for match in found} - set(spans)
        if not new:
            return spans
        merged: list[tuple[int, int]] = []
        for start, end in sorted({*spans, *new}):
            if merged and start < merged[-1][1]:  # it overlaps the one before
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        spans = merged
    return [(0, len(text))]


class _Masked:
    """A text with the placeholder in place of some stretches; it finds the original of its own stretches."""

    def __init__(self, text: str, stretches: list[tuple[int, int]]) -> None:
        self._stretches = stretches
        self._starts: list[int] = []  # where in `self.text` each placeholder begins
        pieces: list[str] = []
        length = before = 0
        for start, end in stretches:
            self._starts.append(length + start - before)
            pieces += [text[before:start], PLACEHOLDER]
            length, before = self._starts[-1] + len(PLACEHOLDER), end
        self.text = "".join([*pieces, text[before:]])

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return a span of the masked text as one of the original; a placeholder that it touches counts as a whole."""
        return self._unmasked(start, 0), self._unmasked(end - 1, 1)

    def _unmasked(self, position: int, side: int) -> int:
        """Return where a character of the masked text begins (`side` 0) or ends (1) in the original."""
        place = bisect_right(self._starts, position) - 1
        if place < 0:
            return position + side
        after = position - self._starts[place] - len(PLACEHOLDER)  # negative inside the placeholder
        return self._stretches[place][side] if after < 0 else self._stretches[place][1] + after + side


def _cut_alike(chunks: Iterable[Chunk], changes: Iterable[Change]) -> Iterator[Chunk]:
    """Yield the changed body in as many chunks, cut where it was cut.

    A change is put where its last byte lay: only then is an event there, or an answer that does not stream.
    """
    coming = deque(changes)
    position = 0
    for chunk in chunks:
        end = position + len(chunk.data)
        pieces: list[bytes] = []
        written = position
        while coming and coming[0].start < end:
            change = coming[0]
            pieces.append(chunk.data[written - position : max(change.start, written) - position])
            written = min(change.end, end)
            if change.end > end:
                break  # its last byte is in a later chunk
            pieces.append(change.new)
            coming.popleft()
        yield replace(chunk, data=b"".join([*pieces, chunk.data[written - position :]]))
        position = end
