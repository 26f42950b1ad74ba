from __future__ import annotations

import asyncio
import http.client
import json
import select
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from pytest_claude_latency.duration import MILLISECOND, SECOND
from pytest_claude_latency.messages_api.exchange import Request, header
from pytest_claude_latency.virtual_time.clock import WallClock
from tests.support.claude_answers import Encoding, hang_up, json_answer, redirect, silence, status
from tests.support.claude_messages import Usage, frame, text, thinking, tool_use
from tests.support.claude_server import ClaudeServer

ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
STREAM = {**ASK, "stream": True}
PATIENCE = 30 * SECOND


def post(server: ClaudeServer, body: object, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("POST", "/v1/messages", json.dumps(body), {"content-type": "application/json"})
    return connection.getresponse()


@pytest.fixture
def connection(claude_server: ClaudeServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", claude_server.port, timeout=PATIENCE / SECOND)
    yield connection
    connection.close()


@pytest.fixture
def client(claude_server: ClaudeServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=claude_server.url, api_key="test") as client:
        yield client


def wait_for(condition: Callable[[], bool]) -> None:
    clock = WallClock()
    deadline = clock.now() + PATIENCE
    while not condition():
        assert clock.now() < deadline, "it never came about"
        select.select([], [], [], 0.001)


def test_a_request_without_a_stream_gets_json(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection
) -> None:
    claude_server.answer(text("Hello wor|ld"))

    response = post(claude_server, ASK, connection)

    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.read())["content"] == [{"type": "text", "text": "Hello world"}]


def test_a_request_for_a_stream_gets_events(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection
) -> None:
    answer = text("Hello wor|ld")
    claude_server.answer(answer)

    response = post(claude_server, STREAM, connection)

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.read() == answer.body


def test_a_connection_is_kept_for_the_next_request(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection
) -> None:
    claude_server.answer(text("one"), status(529), text("three"))

    for body in (ASK, STREAM, STREAM):
        post(claude_server, body, connection).read()

    assert [served.connection for served in claude_server.log] == [1, 1, 1]
    assert [served.status for served in claude_server.log] == [200, 529, 200]


def test_nothing_is_sent_before_its_time_and_the_log_says_when(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection
) -> None:
    claude_server.answer(text("a|b|c", ttfb="20ms", gaps=["10ms", "15ms", 0], end="5ms"))
    clock = WallClock()

    before = clock.now()
    response = post(claude_server, STREAM, connection)
    head = clock.now()
    response.read()
    after = clock.now()

    (served,) = claude_server.log
    assert served.head_at is not None
    assert served.ended_at is not None
    assert before <= served.received <= served.received + served.head_at <= head
    due = [moment * MILLISECOND for moment in (20, 30, 45, 50)]
    assert all(write.at >= at for write, at in zip(served.writes, due, strict=True))
    assert served.ended_at >= served.writes[-1].at
    assert served.received + served.ended_at <= after


def test_parts_with_no_gap_between_them_leave_in_one_write(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection
) -> None:
    answer = text("a|b|c", gaps=["1ms", 0, "1ms"])
    claude_server.answer(answer)

    post(claude_server, STREAM, connection).read()

    first, second, third = (write.data for write in claude_server.log[0].writes)
    assert first + second + third == answer.body
    assert b'"a"' in second
    assert b'"b"' in second
    assert b'"c"' in third


@pytest.mark.parametrize(("encoding", "window"), [("gzip", 31), ("deflate", 15)])
def test_what_was_written_can_be_decompressed_before_more_comes(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection, encoding: Encoding, window: int
) -> None:
    claude_server.answer(text("Hello|never").stalled(1).compressed(encoding))
    decoder = zlib.decompressobj(wbits=window)

    response = post(claude_server, STREAM, connection)
    seen = b""
    while b"Hello" not in seen:
        seen += decoder.decompress(response.read1(10))

    assert response.headers["content-encoding"] == encoding
    assert claude_server.log[0].ended is None
    assert b"never" not in seen


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_is_whole(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection, encoding: Encoding
) -> None:
    answer = text("für €5 😀").compressed(encoding).split_in_characters()
    claude_server.answer(answer)

    decoder = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15)
    seen = decoder.decompress(post(claude_server, STREAM, connection).read())

    assert seen == answer.body
    assert decoder.eof
    assert b"".join(write.data for write in claude_server.log[0].writes) == answer.body


@pytest.mark.parametrize("body", [ASK, STREAM])
def test_an_answer_can_be_cut_off(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection, body: object
) -> None:
    answer = json_answer({"a": "b" * 100}, pieces=4) if body is ASK else text("a|b|c|d")
    claude_server.answer(answer.dropped(2))

    response = post(claude_server, body, connection)
    with pytest.raises(http.client.IncompleteRead):
        response.read()

    assert claude_server.log[0].ended == "close"


def test_an_answer_can_be_reset(claude_server: ClaudeServer, connection: http.client.HTTPConnection) -> None:
    claude_server.answer(text("a|b").dropped(1, wait="1ms", reset=True))

    response = post(claude_server, STREAM, connection)
    with pytest.raises(ConnectionResetError):
        response.read()

    assert claude_server.log[0].ended == "reset"


def test_a_connection_can_be_closed_before_any_response(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection
) -> None:
    claude_server.answer(hang_up())

    with pytest.raises(http.client.RemoteDisconnected):
        post(claude_server, ASK, connection)

    assert claude_server.log[0].head_at is None


def test_a_client_that_leaves_is_seen_when_it_leaves(claude_server: ClaudeServer) -> None:
    claude_server.answer(silence())
    body = json.dumps(ASK).encode()
    clock = WallClock()

    with socket.create_connection(("127.0.0.1", claude_server.port)) as raw:
        raw.sendall(b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        wait_for(lambda: len(claude_server.log) == 1)
        left = clock.now()
    (served,) = claude_server.log
    wait_for(lambda: served.ended_at is not None)

    assert served.ended == "client left"
    assert served.received + (served.ended_at or 0) >= left


def test_a_request_in_pieces_and_in_chunks_is_read_whole(
    claude_server: ClaudeServer, connection: http.client.HTTPConnection
) -> None:
    claude_server.answer(text("one"))

    connection.request("POST", "/v1/messages?beta=true", iter([b'{"mod', b'el": "m"}']), encode_chunked=True)
    connection.getresponse().read()

    (request,) = claude_server.requests
    assert request.json == {"model": "m"}
    assert request.path == "/v1/messages?beta=true"


def test_closing_ends_answers_under_way() -> None:
    with ClaudeServer() as server, socket.create_connection(("127.0.0.1", server.port)) as raw:
        server.answer(silence())
        raw.sendall(b"GET /v1/models HTTP/1.1\r\n\r\n")
        wait_for(lambda: len(server.log) == 1)
        server.close()

        assert server.log[0].ended == "server closed"


def test_its_threads_are_not_threading_s() -> None:
    before = set(threading.enumerate())

    with ClaudeServer() as server, socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        raw.recv(1)

        assert {thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)} <= before


def test_a_request_no_answer_is_left_for_is_refused(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="no answer for POST /v1/messages"):
        client.messages.create(**ASK)

    assert len(claude_server.log) == 1


def test_answers_can_follow_from_the_request(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    def echo(request: Request) -> Any:
        return text(request.json["model"])

    claude_server.answers(echo)

    message = client.messages.create(**{**ASK, "model": "claude-opus-4-6"})

    assert message.to_dict()["content"] == [{"type": "text", "text": "claude-opus-4-6"}]


def test_a_chooser_that_fails_fails_the_test() -> None:
    def broken(_request: Request) -> Any:
        raise KeyError("no such order")

    def ask_it() -> None:
        with ClaudeServer() as server, anthropic.Anthropic(base_url=server.url, api_key="test") as client:
            server.answers(broken)
            with pytest.raises(anthropic.BadRequestError, match="chooser failed"):
                client.messages.create(**ASK)

    with pytest.raises(KeyError, match="no such order"):
        ask_it()


def test_the_sdk_reads_text_thinking_and_tools(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    claude_server.answer(thinking("let me|see", "Yes"), tool_use("look_up", {"order": [1, "ö"]}, say="One moment."))

    content: list[Any] = []
    for _ in range(2):
        with client.messages.stream(**ASK) as stream:
            content += [block.to_dict() for block in stream.get_final_message().content]

    assert [block["type"] for block in content] == ["thinking", "text", "text", "tool_use"]
    assert content[0]["thinking"] == "let mesee"
    assert content[-1]["input"] == {"order": [1, "ö"]}


def test_the_sdk_reads_usage(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    claude_server.answer(text("Hi", usage=Usage(input_tokens=20, output_tokens=90, cache_read=1000)))

    with client.messages.stream(**ASK) as stream:
        usage = stream.get_final_message().usage

    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (20, 90, 1000)


def test_the_sdk_retries_after_what_the_server_says(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    claude_server.answer(status(429, retry_after=0.03), text("now"))

    client.messages.create(**ASK)

    first, second = claude_server.log
    assert second.received - first.received >= 30 * MILLISECOND
    assert header(second.request.headers, "x-stainless-retry-count") == "1"


def test_the_sdk_follows_a_redirect(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    claude_server.answer(redirect("/elsewhere/v1/messages"), text("here"))

    client.messages.create(**ASK)

    assert [(request.method, request.path) for request in claude_server.requests] == [
        ("POST", "/v1/messages"),
        ("POST", "/elsewhere/v1/messages"),
    ]
    assert claude_server.requests[0].content == claude_server.requests[1].content


def test_the_sdk_raises_an_error_sent_in_mid_stream(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    claude_server.answer(text("one|two|three").failing(2))
    seen: list[str] = []

    with client.messages.stream(**ASK) as stream, pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        seen.extend(stream.text_stream)

    assert seen == ["one", "two"]


def test_the_sdk_never_sees_an_event_without_its_blank_line(
    claude_server: ClaudeServer, client: anthropic.Anthropic
) -> None:
    claude_server.answer(text("one").without_last_blank_line())

    with client.messages.create(**STREAM) as stream:
        kinds = [event.type for event in stream]

    assert kinds[-1] == "message_delta"


def test_the_sdk_reads_on_over_events_it_does_not_know(
    claude_server: ClaudeServer, client: anthropic.Anthropic
) -> None:
    claude_server.answer(text("one|two").with_part(3, frame("wibble", wobble=1)))

    with client.messages.stream(**ASK) as stream:
        seen = "".join(stream.text_stream)

    assert seen == "onetwo"


def test_the_sdk_s_time_out_ends_a_silence(claude_server: ClaudeServer, client: anthropic.Anthropic) -> None:
    claude_server.answer(silence())

    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.05, max_retries=0).messages.create(**ASK)

    (served,) = claude_server.log
    wait_for(lambda: served.ended == "client left")


def test_tokens_are_counted_and_files_are_taken_unasked(
    claude_server: ClaudeServer, client: anthropic.Anthropic
) -> None:
    counted = client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    uploaded = client.beta.files.upload(file=("notes.txt", b"some notes", "text/plain"))

    assert counted.input_tokens > 0
    assert uploaded.id.startswith("file_")
    assert b"some notes" in claude_server.requests[1].content
    assert (header(claude_server.requests[1].headers, "content-type") or "").startswith("multipart/form-data")


def test_calls_of_one_moment_are_answered_side_by_side(claude_server: ClaudeServer) -> None:
    started = threading.Barrier(3, timeout=PATIENCE / SECOND)

    def together(_request: Request) -> Any:
        started.wait()  # passes only when all three requests are in hand at once
        return text("yes")

    claude_server.answers(together)

    async def ask() -> None:
        async with anthropic.AsyncAnthropic(base_url=claude_server.url, api_key="test") as client:
            await asyncio.gather(*(client.messages.create(**ASK) for _ in range(3)))

    asyncio.run(ask())

    assert {served.connection for served in claude_server.log} == {1, 2, 3}
