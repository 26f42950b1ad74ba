"""Generated attempts: one request with an answer, an error, or a connection that breaks off.

Each begins with an exchange that was only sent, and adds the rest.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Headers, Request, Response, header
from pytest_claude_latency.messages_api.message import ERRORS, encoded, error
from pytest_claude_latency.strategies import content, timing
from pytest_claude_latency.strategies.envelope import Envelope
from pytest_claude_latency.strategies.timing import Part

_URL = "https://api.anthropic.com/v1/messages"
_JSON = ("content-type", "application/json")
_STREAM = ("content-type", "text/event-stream; charset=utf-8")
_NO_RETRY = ("x-should-retry", "false")
_RETRIED = (408, 409, 429, 500, 529)
_BUSY = (429, 500, 529)  # the statuses that may say when to come back
_BROKEN = ("ReadError", "RemoteProtocolError")
_UNANSWERED = ("ConnectError", *_BROKEN)


@st.composite
def requests(draw: st.DrawFn, envelope: Envelope) -> Request:
    """Make a prompt call, streamed or not as the envelope says."""
    # What is asked does not matter: `play` serves its exchanges to any request.
    body: dict[str, Any] = {"model": envelope.model, "max_tokens": draw(st.integers(1, 4096))}
    body["messages"] = [{"role": "user", "content": draw(st.sampled_from(["Hello", "Where is my order?"]))}]
    if draw(st.booleans()) if envelope.streamed is None else envelope.streamed:
        body["stream"] = True
    content = json.dumps(body, separators=(",", ":")).encode()
    return Request("POST", _URL, (("anthropic-version", "2023-06-01"), _JSON), content)


@st.composite
def last_attempts(draw: st.DrawFn, envelope: Envelope, sent: Exchange) -> Exchange:
    """Make the attempt that ends a call: by an answer, or by an error after which the SDK does not try again."""
    if envelope.errors and draw(st.booleans()):
        status = draw(st.sampled_from(sorted(ERRORS)))
        return draw(_refusals(envelope, sent, status, (_NO_RETRY,)))
    if sent.request.json.get("stream"):  # as the request asks, so that the two agree where streaming is left open
        return draw(_streamed(envelope, sent))
    least = max(envelope.total.least, envelope.ttfb.least if envelope.ttfb else 0)
    total = draw(st.integers(least, envelope.total.most))  # of the last byte, at which the only token comes
    since = draw(timing.headers(envelope, total))
    body = json.dumps(draw(content.messages(envelope)).unstreamed(), ensure_ascii=False).encode()
    return replace(
        sent,
        response=Response(since * MICROSECOND, 200, draw(_common_headers(_JSON))),
        chunks=draw(timing.chunks([Part(total, body)], since)),
        end=End(total * MICROSECOND),
    )


@st.composite
def failed_attempts(draw: st.DrawFn, envelope: Envelope, sent: Exchange) -> Exchange:
    """Make an attempt after which the SDK makes another."""
    if draw(st.booleans()):
        return draw(_refusals(envelope, sent, draw(st.sampled_from(_RETRIED)), ()))
    at = draw(timing.headers(envelope, envelope.ttft.most)) * MICROSECOND
    return replace(sent, end=End(at, error=draw(st.sampled_from(_UNANSWERED))))


@st.composite
def back_off(draw: st.DrawFn, failed: Exchange, retries: int) -> Nanoseconds:
    """Make the pause of the SDK after this failure, if the call was already retried `retries` times."""
    retry_after = header(failed.response.headers, "retry-after") if failed.response else None
    if retry_after is not None:
        return int(retry_after) * SECOND
    longest = 500_000 * 2**retries  # half a second, doubled each time, less up to a quarter at random
    return draw(st.integers(longest * 3 // 4, longest)) * MICROSECOND


@st.composite
def _refusals(draw: st.DrawFn, envelope: Envelope, sent: Exchange, status: int, headers: Headers) -> Exchange:
    """Make an answer with this status and the error that the API sends with it."""
    at = draw(timing.headers(envelope, envelope.ttft.most)) * MICROSECOND
    if status in _BUSY and draw(st.booleans()):  # whole seconds, up to a few: the SDK obeys what is not too long
        headers = (*headers, ("retry-after", str(draw(st.integers(1, 5)))))
    body = json.dumps(error(ERRORS[status], "Generated")).encode()
    return replace(
        sent,
        response=Response(at, status, (*draw(_common_headers(_JSON)), *headers)),
        chunks=(Chunk(at, body),),
        end=End(at),
    )


@st.composite
def _streamed(draw: st.DrawFn, envelope: Envelope, sent: Exchange) -> Exchange:
    """Make a stream, whole or with an error in it, which may break off."""
    since, parts = draw(timing.streams(draw(content.messages(envelope)), envelope))
    if envelope.errors and draw(st.booleans()):
        kept = draw(st.integers(1, len(parts) - 1))  # at least `message_start`, since before it errors have a status
        at = draw(st.integers(parts[kept - 1].at, parts[kept].at))
        name = draw(st.sampled_from(["overloaded_error", "api_error"]))
        parts = [*parts[:kept], Part(at, encoded(error(name, "Generated")))]
    chunks = draw(timing.chunks(parts, since))
    end = End(chunks[-1].at + draw(st.integers(0, 1_000)) * MICROSECOND)
    if envelope.drops and draw(st.booleans()):
        kept = draw(st.integers(0, len(chunks) - 1))
        earliest = chunks[kept - 1].at if kept else since * MICROSECOND
        at = draw(st.integers(earliest // MICROSECOND, chunks[kept].at // MICROSECOND)) * MICROSECOND
        chunks, end = chunks[:kept], End(at, error=draw(st.sampled_from(_BROKEN)))
    response = Response(since * MICROSECOND, 200, draw(_common_headers(_STREAM)))
    return replace(sent, response=response, chunks=chunks, end=end)


@st.composite
def _common_headers(draw: st.DrawFn, content_type: tuple[str, str]) -> Headers:
    return (content_type, ("request-id", f"req_{draw(content.NAMES)}"))
