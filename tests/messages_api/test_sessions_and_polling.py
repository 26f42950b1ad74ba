"""Streams of sessions, and requests that ask again and again."""

from __future__ import annotations

import json

import pytest

from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from pytest_claude_latency.messages_api.forms import form_of
from pytest_claude_latency.messages_api.polling import may_begin, poll_of, polled
from pytest_claude_latency.metrics.timeline import measure
from tests.support.written_calls import ns

STREAM = "https://api.anthropic.com/v1/sessions/sesn_1/events/stream?beta=true"


def following(*events: tuple[float, str, dict[str, object]], status: int = 200, url: str = STREAM) -> Exchange:
    chunks = tuple(Chunk(ns(at), f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()) for at, name, data in events)
    response = Response(ns(50), status, (("content-type", "text/event-stream"),))
    return Exchange(0, Request("GET", url), response=response, chunks=chunks, end=End(ns(3000), closed="client"))


def said(text: str) -> dict[str, object]:
    return {"type": "agent.message", "content": [{"type": "text", "text": text}]}


def test_the_first_token_of_a_session_is_its_first_agent_message() -> None:
    exchange = following(
        (100, "user.message", said("Find it.")),
        (300, "agent.thinking", {}),
        (500, "agent.message", said("")),
        (900, "agent.message", said("Looking.")),
        (2500, "agent.message", said("Found.")),
    )

    call = measure([exchange])

    assert (call.streamed, call.ttfb, call.ttft, call.ttfa, call.total) == (True, 0.05, 0.9, 0.9, 3.0)
    assert (call.closed, call.error, call.output_tokens) == ("client", None, None)
    assert read(exchange).blocks == [{"type": "text", "text": "Looking.Found."}]


def test_a_preview_of_a_message_is_the_message_for_whoever_asked_for_previews() -> None:
    preview: dict[str, object] = {"delta": {"type": "content_delta", "content": {"type": "text", "text": "Look"}}}

    call = measure([following((700, "event_delta", preview), (900, "agent.message", said("Looking.")))])

    assert call.ttft == 0.7


@pytest.mark.parametrize("data", [{}, {"content": 7}, {"content": [7, {"text": 7}]}])
def test_an_event_that_makes_no_sense_is_passed_over(data: dict[str, object]) -> None:
    call = measure([following((500, "agent.message", data), (900, "agent.message", said("Looking.")))])

    assert call.ttft == 0.9


def test_an_error_ends_the_stream() -> None:
    call = measure(
        [following((500, "error", {"error": {"type": "overloaded_error"}}), (900, "agent.message", said("x")))]
    )

    assert (call.error, call.ttft, call.total) == ("overloaded_error", None, 0.5)


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("GET", "/v1/sessions/sesn_1/events/stream?beta=true", "session"),
        ("GET", "/v1/sessions/sesn_1/threads/t1/stream", "session"),
        ("POST", "/v1/sessions/sesn_1/events", "messages"),
        ("GET", "/v1/sessions/sesn_1/events", "messages"),
        ("POST", "/model/eu.anthropic.claude/converse", "converse"),
        ("POST", "/model/arn%3Aaws%3Abedrock/x/converse-stream", "converse"),
        ("POST", "/model/eu.anthropic.claude/invoke", "messages"),
        ("POST", "/v1/chat/completions", "chat"),
        ("POST", "/proxy/chat/completions/", "chat"),
    ],
)
def test_a_form_is_known_by_the_path(method: str, path: str, form: str) -> None:
    assert form_of(Request(method, f"https://host{path}")) == form


def test_what_is_asked_more_than_once_is_polled() -> None:
    one = Request("GET", "https://host/v1/messages/batches/one?after=1")
    again = Request("GET", "https://host/v1/messages/batches/one?after=2")
    other = Request("GET", "https://host/v1/messages/batches/two")
    posts = [Request("POST", "https://host/v1/messages/batches")] * 2
    streams = [Request("GET", STREAM)] * 2

    assert polled([one, other, *posts, again, *streams]) == {poll_of(one)}


@pytest.mark.parametrize(
    ("method", "url", "begins"),
    [
        ("POST", "https://host/v1/messages/batches?beta=true", True),
        ("POST", "https://host/v1/messages/batches/one/cancel", False),
        ("POST", "https://host/v1/messages/batch", False),
        ("POST", "https://other/v1/messages/batches", False),
        ("GET", "https://host/v1/messages/batches", False),
    ],
)
def test_what_is_asked_about_was_begun_by_a_post_to_the_path_above(method: str, url: str, begins: bool) -> None:
    poll = poll_of(Request("GET", "https://host/v1/messages/batches/one"))
    assert poll is not None

    assert may_begin(Request(method, url), poll) is begins
