"""The door of urllib3: recorded over a real socket, replayed by urllib3's own classes over none."""

from __future__ import annotations

import errno
import io
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPResponse
from importlib.metadata import version
from threading import Thread
from typing import Any, TypeAlias

import pytest
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from pytest_claude_latency import virtual_time
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement, Source
from pytest_claude_latency.measurement.sources import LiveSource, SequentialSource
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.virtual_time.clock import Clock, VirtualClock, WallClock
from tests.support.claude_answers import Answer, status
from tests.support.claude_messages import text
from tests.support.claude_server import ClaudeServer

Program: TypeAlias = Callable[[str], object]

virtual_time.install()

PROMPT: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
STREAM = text("Hello wor|ld", ttfb="60ms", gaps=["30ms", "40ms"], end="10ms")


def post(url: str, *, pool: urllib3.PoolManager | None = None, stream: bool = True, **options: Any) -> Any:
    """Send a prompt by urllib3; the answer is not read yet."""
    manager = urllib3.PoolManager() if pool is None else pool
    body = json.dumps({**PROMPT, "stream": stream})
    settings: dict[str, Any] = {"headers": HEADERS, "preload_content": False, **options}
    return manager.request("POST", f"{url}/v1/messages", body=body, **settings)


@pytest.fixture(autouse=True)
def _refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test reach another server than its own."""
    connect = socket.socket.connect

    def connect_to_this_machine(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_to_this_machine)


@contextmanager
def measuring(source: Source, clock: Clock) -> Iterator[Measurement]:
    """Measure what is sent in this block."""
    current: list[Measurement] = []
    interception = Interception(lambda: current[0] if current else None)
    interception.start()
    measurement = Measurement("a test", clock, source)
    measurement.log.begin(Phase.BODY)
    measurement.enter()
    current.append(measurement)
    try:
        yield measurement
    finally:
        measurement.close()
        measurement.leave()
        interception.stop()


def recorded(program: Program, *answers: Answer) -> tuple[Exchange, ...]:
    """Return what is recorded while `program` runs against a server that gives these answers."""
    with ClaudeServer() as server:
        server.answer(*answers)
        with measuring(LiveSource(), WallClock()) as measurement:
            program(server.url)
    return measurement.log.exchanges


def replayed(program: Program, exchanges: tuple[Exchange, ...]) -> tuple[Call, ...]:
    """Return the calls of a replay in virtual time; nothing listens at the address that the program is given."""
    with measuring(SequentialSource(exchanges), VirtualClock()) as measurement:
        program("http://127.0.0.1:9")
    return measurement.log.of(Phase.BODY).calls


def ends(calls: Sequence[Call]) -> float:
    """Return when the last of these calls ended."""
    return max(call.sent + (call.total or 0) for call in calls)


READERS: dict[str, Callable[[Any], bytes]] = {
    "data": lambda response: bytes(response.data),
    "read": lambda response: bytes(response.read()),
    "read some": lambda response: b"".join(iter(lambda: bytes(response.read(4096)), b"")),
    "stream": lambda response: b"".join(response.stream(decode_content=True)),
    "stream some": lambda response: b"".join(response.stream(7, decode_content=True)),
    "chunks": lambda response: b"".join(response.read_chunked(decode_content=True)),
    "lines": b"".join,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_each_way_to_read_gives_the_recorded_body(reader: str, encoding: str | None) -> None:
    bodies: list[bytes] = []

    def program(url: str) -> None:
        bodies.append(READERS[reader](post(url, headers={**HEADERS, "accept-encoding": encoding or "identity"})))

    answer = STREAM.split(size=60) if encoding is None else STREAM.compressed()
    exchanges = recorded(program, answer)
    (call,) = replayed(program, exchanges)

    assert bodies[0] == bodies[1] == STREAM.body
    assert (call.status, call.error, call.closed, call.streamed) == (200, None, None, True)


def test_a_replay_has_the_recorded_times() -> None:
    seen: list[list[float]] = []

    def program(url: str) -> None:
        start = time.monotonic()
        seen.append([time.monotonic() - start for _ in post(url).stream()])

    (exchange,) = recorded(program, STREAM)
    (call,) = replayed(program, (exchange,))

    assert exchange.response is not None
    assert exchange.response.at >= 60_000_000
    assert seen[1] == pytest.approx([chunk.at / 1e9 for chunk in exchange.chunks], abs=1e-6)
    first = next(chunk.at for chunk in exchange.chunks if b"Hello wor" in chunk.data)
    assert call.ttft == pytest.approx(first / 1e9)
    assert call.total == pytest.approx(exchange.chunks[-1].at / 1e9)
    assert first >= 90_000_000


def test_a_body_of_known_length_arrives_as_recorded() -> None:
    bodies: list[bytes] = []

    def program(url: str) -> None:
        bodies.append(post(url, stream=False, preload_content=True).data)

    exchanges = recorded(program, text("Hello", ttfb="50ms", end="20ms"))
    (call,) = replayed(program, exchanges)

    assert bodies[0] == bodies[1]
    assert call.streamed is False
    assert ends([call]) >= 0.07


def test_threads_wait_side_by_side() -> None:
    def program(url: str) -> None:
        threads = [Thread(target=lambda: post(url).read()) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    exchanges = recorded(program, STREAM, STREAM, STREAM)
    start = time.perf_counter()
    calls = replayed(program, exchanges)

    assert len(calls) == 3
    assert ends(calls) < sum(call.total or 0 for call in calls)
    assert time.perf_counter() - start < 2


def test_a_pool_of_one_connection_lets_one_call_wait_for_the_other() -> None:
    def program(url: str) -> None:
        pool = urllib3.PoolManager(maxsize=1, block=True)
        threads = [Thread(target=lambda: post(url, pool=pool, preload_content=True)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # Recorded side by side.
    exchanges = recorded(lambda url: [post(url).read() for _ in range(2)], STREAM, STREAM)
    calls = replayed(program, exchanges)

    assert ends(calls) >= 0.28


def test_the_retries_of_urllib3_are_attempts_of_one_call() -> None:
    def program(url: str) -> None:
        retry = urllib3.Retry(3, backoff_factor=0.05, status_forcelist=[529], allowed_methods=None)
        assert post(url, retries=retry).read()

    exchanges = recorded(program, status(529), status(529), STREAM)
    calls = replayed(program, exchanges)

    assert [call.attempts for call in calls] == [3]
    assert calls[0].status == 200


def test_equal_requests_are_calls_of_their_own() -> None:
    def program(url: str) -> None:
        for _ in range(2):
            post(url).read()

    exchanges = recorded(program, status(529), STREAM)

    assert [call.attempts for call in replayed(program, exchanges)] == [1, 1]


def failing(kind: type[Exception], **options: Any) -> Program:
    def program(url: str) -> None:
        with pytest.raises(kind):
            post(url, retries=False, **options).read()

    return program


@pytest.mark.parametrize(
    ("answer", "error", "kind"),
    [
        (STREAM.dropped(after=1), "RemoteProtocolError", ProtocolError),
        (STREAM.dropped(after=1, reset=True), "ReadError", ProtocolError),
        (Answer(None, ending="close"), "RemoteProtocolError", ProtocolError),
        (Answer(None, ending="reset"), "ReadError", ProtocolError),
    ],
    ids=["dropped", "reset", "no answer", "reset before the answer"],
)
def test_a_broken_connection_is_broken_in_the_same_way(answer: Answer, error: str, kind: type[Exception]) -> None:
    program = failing(kind)
    exchanges = recorded(program, answer)
    (call,) = replayed(program, exchanges)

    assert exchanges[0].end is not None
    assert exchanges[0].end.error == call.error == error


@pytest.mark.parametrize("ending", ["complete", "close"])
@pytest.mark.parametrize("code", [204, 304])
def test_a_status_without_a_body_whose_head_promises_chunks_is_read_as_it_was(code: int, ending: Any) -> None:
    seen: list[object] = []

    def program(url: str) -> None:
        try:
            seen.append(b"".join(post(url).stream()))
        except HTTPError as error:
            seen.append(type(error))

    exchanges = recorded(program, Answer(code, ending=ending, chunked=True))
    replayed(program, exchanges)

    assert seen[1] == seen[0] == (b"" if ending == "complete" else ProtocolError)


@pytest.mark.parametrize("reader", ["data", "read", "stream", "chunks"])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_what_cannot_be_decoded_is_no_broken_connection(reader: str, is_chunked: bool) -> None:
    seen: list[object] = []

    def program(url: str) -> None:
        with pytest.raises(HTTPError) as failure:
            seen.append(READERS[reader](post(url, headers={**HEADERS, "accept-encoding": "gzip"})))
        seen.append(type(failure.value))

    answer = replace(STREAM.with_headers(content_encoding="gzip"), chunked=is_chunked or reader == "chunks")
    replayed(program, recorded(program, answer))

    assert seen == [DecodeError, DecodeError]


@pytest.mark.parametrize("coding", ["gzip", "identity, x"])
def test_chunks_are_noted_without_their_lengths_where_the_head_names_another_coding_too(coding: str) -> None:
    bodies: list[bytes] = []

    def program(url: str) -> None:
        bodies.append(b"".join(post(url).stream()))

    exchanges = recorded(program, STREAM.with_headers(transfer_encoding=coding))
    (call,) = replayed(program, exchanges)

    assert bodies[0] == bodies[1] == b"".join(chunk.data for chunk in exchanges[0].chunks) == STREAM.body
    assert call.closed is None


def test_no_connection_is_no_connection() -> None:
    def program(url: str) -> None:
        with pytest.raises(NewConnectionError, match="Connection refused"):
            post("http://127.0.0.1:9", retries=False)

    exchanges = recorded(program)
    (call,) = replayed(program, exchanges)

    assert call.error == "ConnectError"
    assert exchanges[0].end is not None
    assert exchanges[0].end.message == "[Errno 111] Connection refused"


IN_THE_WAY = {
    "no name": ("socket.getaddrinfo", socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
    "no certificate": (
        "urllib3.connection.ssl_wrap_socket",
        ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)"),
    ),
    "no TLS": ("urllib3.connection.ssl_wrap_socket", ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version")),
    "no route": ("socket.getaddrinfo", OSError(errno.EHOSTUNREACH, "No route to host")),
}


@pytest.mark.parametrize("reason", IN_THE_WAY)
def test_what_was_in_the_way_of_a_connection_is_told_in_the_same_words(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    told: list[list[str]] = []
    place, raised = IN_THE_WAY[reason]

    def fail(*args: Any, **kwargs: Any) -> None:
        raise raised

    def program(url: str) -> None:
        with pytest.raises(HTTPError) as caught:
            post(url.replace("http:", "https:"), retries=False)
        error: BaseException | None = caught.value
        told.append([])
        while error is not None:
            words = f"{type(error).__name__} {getattr(error, 'errno', '')} {error}"
            told[-1].append(re.sub(r"port=\d+|0x[0-9a-f]+", "…", words))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)

    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        exchanges = recorded(program)
    (call,) = replayed(program, exchanges)

    assert call.error == "ConnectError"
    assert told[1] == told[0]


def test_a_connection_that_took_too_long_does_so_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(url: str) -> None:
        start = time.monotonic()
        with pytest.raises(ConnectTimeoutError):
            post(url, retries=False, timeout=urllib3.Timeout(connect=0.2))
        assert time.monotonic() - start >= 0.2

    def connect(*args: Any, **kwargs: Any) -> None:
        time.sleep(0.2)
        raise TimeoutError("timed out")

    with monkeypatch.context() as patch:
        patch.setattr("urllib3.util.connection.create_connection", connect)
        exchanges = recorded(program)
    (call,) = replayed(program, exchanges)

    assert call.error == "ConnectTimeout"


@pytest.mark.parametrize("stall", [Answer(None, ending="silence"), STREAM.stalled(after=1)], ids=["head", "body"])
def test_a_read_time_out_fires_in_virtual_time(stall: Answer) -> None:
    waited: list[float] = []

    def program(url: str) -> None:
        start = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            post(url, retries=False, timeout=urllib3.Timeout(read=0.25)).read()
        waited.append(time.monotonic() - start)

    exchanges = recorded(program, stall)
    (call,) = replayed(program, exchanges)

    assert call.error == "ReadTimeout"
    assert waited[1] == pytest.approx(waited[0], abs=0.05)


def test_a_shorter_time_out_than_the_recorded_program_had_fires() -> None:
    exchanges = recorded(lambda url: post(url).read(), STREAM)
    limit = urllib3.Timeout(read=0.05)  # connecting may take long on a busy machine
    calls = replayed(failing(ReadTimeoutError, timeout=limit), exchanges)

    assert [call.error for call in calls] == ["ReadTimeout"]
    assert exchanges[0].connect is not None
    connected = exchanges[0].connect.at + exchanges[0].connect.duration
    assert calls[0].total == pytest.approx(connected / 1e9 + 0.05)


def test_retries_after_a_broken_connection_are_attempts() -> None:
    def program(url: str) -> None:
        retry = urllib3.Retry(1, allowed_methods=None)
        with pytest.raises(MaxRetryError):
            post(url, retries=retry)

    exchanges = recorded(program, Answer(None, ending="close"), Answer(None, ending="close"))
    calls = replayed(program, exchanges)

    assert [call.attempts for call in calls] == [2]


def test_a_program_that_stops_reading_is_noted_as_that() -> None:
    def program(url: str) -> None:
        response = post(url)
        next(response.stream())
        response.close()

    exchanges = recorded(program, STREAM)
    (call,) = replayed(program, exchanges)

    assert exchanges[0].end is not None
    assert exchanges[0].end.closed == call.closed == "client"


def test_a_miss_is_no_error_of_the_library_and_is_not_retried() -> None:
    tried: list[int] = []

    def program(url: str) -> None:
        tried.append(1)
        post(url, retries=urllib3.Retry(5, backoff_factor=1, allowed_methods=None))

    with pytest.raises(pytest.fail.Exception):
        replayed(program, ())
    assert tried == [1]


def test_an_iterator_as_body_is_read_once_and_recorded() -> None:
    body = json.dumps({**PROMPT, "stream": True}).encode()

    def program(url: str) -> None:
        pieces = (body[start : start + 10] for start in range(0, len(body), 10))
        urllib3.PoolManager().request("POST", f"{url}/v1/messages", body=pieces, headers=HEADERS)

    exchanges = recorded(program, STREAM)

    assert exchanges[0].request.json == json.loads(body)
    assert [call.status for call in replayed(program, exchanges)] == [200]


def test_a_tunnel_is_not_opened_in_a_replay() -> None:
    exchanges = recorded(lambda url: post(url).read(), STREAM)
    proxy = urllib3.ProxyManager("http://127.0.0.1:9")
    calls = replayed(lambda url: post("https://api.anthropic.com", pool=proxy).read(), exchanges)

    assert [call.status for call in calls] == [200]


def test_what_a_stand_in_answers_is_not_taken_for_the_apis() -> None:
    class StandIn(HTTPConnection):
        """As VCR and its like do it: a connection that answers by itself."""

        def connect(self) -> None:
            self.sock = _Answering()

        def getresponse(self) -> Any:
            response = HTTPResponse(self.sock, method="POST")
            response.begin()
            is_old = version("urllib3").startswith("1.")  # there a pool makes the answer out of that of `http.client`
            return response if is_old else urllib3.HTTPResponse(response, status=200, preload_content=False)

    def program(url: str) -> None:
        pool = HTTPConnectionPool("127.0.0.1", 9)
        pool.ConnectionCls = StandIn
        assert pool.urlopen("POST", "/v1/messages", body=json.dumps(PROMPT), headers=HEADERS).data == b"hi"

    with measuring(LiveSource(), WallClock()) as measurement:
        program("")

    assert measurement.log.exchanges == ()
    assert measurement.answered_elsewhere == ["POST /v1/messages"]


class _Answering(socket.socket):
    """A socket that answers everything by itself."""

    def sendall(self, *args: Any) -> None:
        """Send nothing."""

    def makefile(self, *args: Any, **kwargs: Any) -> Any:
        """Return an answer."""
        return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


def test_what_is_not_claudes_passes_untouched() -> None:
    seen: list[bytes] = []

    def program(url: str) -> None:
        seen.append(urllib3.PoolManager().request("POST", f"{url}/model/amazon.titan-embed/invoke", body=b"{}").data)

    with ClaudeServer() as server:
        server.answer(status(400))
        with measuring(SequentialSource(()), VirtualClock()) as measurement:
            program(server.url)

    assert seen != [b""]
    assert measurement.log.exchanges == ()


def test_a_kept_alive_connection_is_used_again_and_opens_only_once() -> None:
    def program(url: str) -> None:
        pool = urllib3.PoolManager()
        for _ in range(2):
            post(url, pool=pool).read()

    first, second = recorded(program, STREAM, STREAM)

    assert first.connect is not None
    assert second.connect is None


def test_another_patch_over_ours_is_noticed_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    urlopen = HTTPConnectionPool.urlopen
    interception = Interception(lambda: None)
    interception.start()
    try:
        interception.prove()
        with monkeypatch.context() as patch:
            patch.setattr(HTTPConnectionPool, "urlopen", urlopen)
            with pytest.raises(InterceptionError, match="urllib3"):
                interception.prove()
    finally:
        interception.stop()
