"""Answers: what one HTTP answer holds, and when each part of it arrived.

The body of an exchange is read in the form that its request asked for, as the client of that form reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api import aws_event_stream, sse
from pytest_claude_latency.messages_api.answers.chat import ChatAnswer
from pytest_claude_latency.messages_api.answers.content import Answer, json_body, text_at
from pytest_claude_latency.messages_api.answers.converse import ConverseAnswer
from pytest_claude_latency.messages_api.answers.messages import MessagesAnswer
from pytest_claude_latency.messages_api.answers.session import SessionAnswer
from pytest_claude_latency.messages_api.endpoints import asks_to_stream
from pytest_claude_latency.messages_api.exchange import Exchange, header
from pytest_claude_latency.messages_api.forms import Form, form_of

_EVENT_STREAM = "text/event-stream"
REFUSALS = frozenset({400, 403, 404, 413, 422})
"""Statuses by which the API says that it does not take such a request, today or tomorrow."""
_ANSWERS: dict[Form, type[MessagesAnswer | ConverseAnswer | ChatAnswer | SessionAnswer]] = {
    "messages": MessagesAnswer,
    "converse": ConverseAnswer,
    "chat": ChatAnswer,
    "session": SessionAnswer,
}


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterable[sse.Event]: ...


def read(exchange: Exchange, since: Nanoseconds = 0, *, until: str | None = None) -> Answer:
    """Return what the exchange's answer holds so far.

    Its instants count from `since` before the request was sent. Of a stream no event after the first one named
    `until` is read, which is cheaper where only the beginning matters.
    """
    streamed = is_streamed(exchange)
    answer = _ANSWERS[form_of(exchange.request)](streamed=streamed)
    if streamed and succeeded(exchange):
        for at, event in stream_events(exchange):
            answer.take_event(since + at, event)
            if until is not None and event.name == until:
                return answer
    elif (end := exchange.end) is not None and end.error is None and end.closed is None:
        # The last byte counts, not the end: closing a connection takes a while, and nobody waits for it.
        last = exchange.chunks[-1].at if exchange.chunks else end.at
        body = b"".join(chunk.data for chunk in exchange.chunks)
        answer.take_body(since + last, body)
        if answer.error is None and not succeeded(exchange):
            # AWS names an error in a header or, from older services, in the body, each time within a namespace.
            named = header(exchange.response.headers, "x-amzn-errortype") if exchange.response else None
            name = named or text_at(json_body(body), "__type") or ""
            answer.error = name.partition(":")[0].rpartition("#")[2] or None
    return answer


def is_streamed(exchange: Exchange) -> bool:
    """Return whether its answer is a stream. Where the answer does not say so, the request does."""
    media_type = _media_type(exchange)
    if not succeeded(exchange) or not media_type:  # no answer, an error, no content type
        return asks_to_stream(exchange.request)
    return media_type in (_EVENT_STREAM, aws_event_stream.MEDIA_TYPE)


def stream_events(exchange: Exchange) -> Iterator[tuple[Nanoseconds, sse.Event]]:
    """Yield each event of an answer that streams, with when it had arrived since the request was sent."""
    bare = form_of(exchange.request) == "converse"
    decoder: _Decoder = sse.Decoder()
    if bare or _media_type(exchange) == aws_event_stream.MEDIA_TYPE:
        decoder = aws_event_stream.Decoder(bare=bare)
    for chunk in exchange.chunks:
        for event in decoder.feed(chunk.data):
            yield chunk.at, event


def _media_type(exchange: Exchange) -> str:
    content_type = exchange.response and header(exchange.response.headers, "content-type")
    return (content_type or "").partition(";")[0].strip().lower()


def succeeded(exchange: Exchange) -> bool:
    """Return whether it was answered with a status that the SDK takes for success."""
    return exchange.response is not None and 200 <= exchange.response.status < 300


def refusal_of(exchange: Exchange) -> str | None:
    """Return why the API does not take such a request, in its own words; None if it was not refused for good."""
    if exchange.response is None or exchange.response.status not in REFUSALS:
        return None
    body = json_body(b"".join(chunk.data for chunk in exchange.chunks))
    # Anthropic and the chat form, then Bedrock in both its spellings.
    message = text_at(body, "error", "message") or text_at(body, "message") or text_at(body, "Message")
    return f"HTTP {exchange.response.status}: {message or 'it gave no reason'}"
