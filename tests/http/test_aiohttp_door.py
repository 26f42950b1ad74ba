"""The door of aiohttp: what a program reads through it, when, and which errors it meets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import BaseConnector, ClientSession, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given

from pytest_claude_latency import Recording, play
from pytest_claude_latency.duration import MILLISECOND, SECOND
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.doors.aiohttp import AiohttpDoor
from pytest_claude_latency.http.doors.aiohttp_replay import connect_error
from pytest_claude_latency.messages_api.exchange import Chunk, Connect, End, Exchange, Request, Response
from pytest_claude_latency.messages_api.recognition import Recognition
from pytest_claude_latency.strategies import recordings
from tests.support.properties import examples

URL = "https://api.anthropic.com/v1/messages"
ASKED: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
REQUEST = Request("POST", URL, (), json.dumps(ASKED).encode())
KEY = ConnectionKey("api.anthropic.com", 443, True, True, None, None, None)
OK = Response(30 * MILLISECOND, 200, (("content-type", "text/event-stream"),))


def _recording(*exchanges: Exchange) -> Recording:
    return Recording(
        test="made by hand", recorded="2026-11-22T11:30:00.000Z", client="aiohttp 3.14.5", exchanges=exchanges
    )


def _run(recording: Recording, program: Callable[[ClientSession], Awaitable[Any]], **session: Any) -> Any:
    async def main() -> Any:
        async with ClientSession(**session) as opened:
            return await program(opened)

    with play(recording):
        return asyncio.run(main())


async def _read(session: ClientSession, **options: Any) -> list[tuple[int, bytes]]:
    """Return what comes, each piece with the milliseconds since the request."""
    now = asyncio.get_running_loop().time
    began = now()
    async with session.post(URL, **{"json": ASKED, **options}) as response:
        return [(round((now() - began) * 1000), piece) async for piece in response.content.iter_any()]


async def _error(session: ClientSession, **options: Any) -> tuple[Exception, int]:
    """Return the error that a request meets, with the milliseconds since the request."""
    now = asyncio.get_running_loop().time
    began = now()
    try:
        await _read(session, **options)
    except Exception as error:
        return error, round((now() - began) * 1000)
    raise AssertionError("no error came")


def _chunks(*pieces: tuple[int, bytes]) -> tuple[Chunk, ...]:
    return tuple(Chunk(at * MILLISECOND, data) for at, data in pieces)


def test_each_chunk_comes_when_it_came() -> None:
    pieces = [(40, b"one"), (90, b"two"), (2000, b"x" * 200_000)]
    exchange = Exchange(0, REQUEST, None, OK, _chunks(*pieces), End(3 * SECOND))

    assert _run(_recording(exchange), _read) == pieces


def test_headers_of_any_characters_are_read() -> None:
    written = "\xe9 \udce9 \ud800 \U0001f600"  # the second as aiohttp reads a byte that is no UTF-8
    answered = replace(OK, headers=(*OK.headers, ("request-id", written)))

    async def read(session: ClientSession) -> str:
        async with session.post(URL, json=ASKED) as response:
            return response.headers["request-id"]

    told = _run(_recording(Exchange(0, REQUEST, None, answered, (), End(SECOND))), read)

    assert told == written.replace("\ud800", "?")


def test_a_chunk_of_no_bytes_ends_the_wait_of_a_read_time_out() -> None:
    pieces = [(400, b"one"), (1000, b""), (1500, b""), (2000, b"two")]
    exchange = Exchange(0, REQUEST, None, OK, _chunks(*pieces), End(2 * SECOND))

    told = _run(_recording(exchange), _read, timeout=ClientTimeout(sock_read=0.7))

    assert told == [(400, b"one"), (2000, b"two")]


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (End(SECOND, "RemoteProtocolError"), aiohttp.ClientPayloadError),
        (End(SECOND, "ReadError"), aiohttp.ClientPayloadError),
        (End(SECOND, "DecodingError"), aiohttp.ClientPayloadError),
    ],
    ids=lambda value: getattr(value, "error", ""),
)
def test_a_failure_in_mid_stream(end: End, kind: type[Exception]) -> None:
    error, at = _run(_recording(Exchange(0, REQUEST, None, OK, _chunks((40, b"one")), end)), _error)

    assert (type(error), at) == (kind, 1000)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (End(SECOND, "RemoteProtocolError"), aiohttp.ServerDisconnectedError),
        (End(SECOND, "ReadError"), aiohttp.ClientOSError),
        (End(SECOND, "WriteError"), aiohttp.ClientOSError),
        (End(SECOND, "ConnectError"), aiohttp.ClientConnectorError),
    ],
    ids=lambda value: getattr(value, "error", ""),
)
def test_a_failure_before_the_headers(end: End, kind: type[Exception]) -> None:
    error, at = _run(_recording(Exchange(0, REQUEST, None, None, (), end)), _error)

    assert (type(error), at) == (kind, 1000)


def test_a_refused_connection_reads_as_it_did() -> None:
    text = "Cannot connect to host api.anthropic.com:443 ssl:default [Connect call failed ('127.0.0.1', 443)]"
    exchange = Exchange(0, REQUEST, None, None, (), End(SECOND, "ConnectError", None, text))

    error, _ = _run(_recording(exchange), _error)

    assert str(error) == text


SLOW = Exchange(
    0, REQUEST, Connect(0, 4 * SECOND), Response(8 * SECOND, 200), _chunks((16000, b"late")), End(16 * SECOND)
)


@pytest.mark.parametrize(
    ("limits", "kind", "at"),
    [
        (ClientTimeout(connect=3.5), "ConnectionTimeoutError", 3500),
        (ClientTimeout(sock_connect=3.5), "ConnectionTimeoutError", 3500),
        (ClientTimeout(sock_read=3.5), "SocketTimeoutError", 7500),
        (ClientTimeout(sock_read=7.25), "SocketTimeoutError", 15250),
        (ClientTimeout(total=3.5), "TimeoutError", 3500),
        (ClientTimeout(total=7.25), "TimeoutError", 7250),
        (ClientTimeout(total=12.125), "TimeoutError", 12125),
    ],
    ids=str,
)
def test_a_time_out_of_aiohttp_fires_when_it_is_due(limits: ClientTimeout, kind: str, at: int) -> None:
    error, fired = _run(_recording(SLOW), _error, timeout=limits)

    assert fired == at
    assert isinstance(error, TimeoutError)
    assert type(error).__name__ in (kind, "ServerTimeoutError")


def test_a_body_waits_for_the_servers_consent() -> None:
    exchange = Exchange(0, REQUEST, None, OK, _chunks((40, b"one")), End(SECOND))

    told = _run(_recording(exchange), lambda session: _read(session, expect100=True))

    assert told == [(40, b"one")]


def test_an_answer_without_a_body() -> None:
    async def program(session: ClientSession) -> tuple[int, bytes]:
        async with session.delete("https://api.anthropic.com/v1/files/x") as response:
            return response.status, await response.read()

    exchange = Exchange(0, REQUEST, None, Response(SECOND, 204), (), End(SECOND))

    assert _run(_recording(exchange), program) == (204, b"")


def test_a_connection_is_not_kept_for_a_request_to_a_server() -> None:
    async def program(session: ClientSession) -> bool:
        await _read(session)
        assert session.connector is not None
        return bool(session.connector._conns) or bool(session.connector._acquired)

    assert not _run(_recording(Exchange(0, REQUEST, None, OK, _chunks((40, b"one")), End(SECOND))), program)


def test_a_session_that_is_closed_in_mid_stream_leaves_nothing_behind() -> None:
    async def program(session: ClientSession) -> int:
        response = await session.post(URL, json=ASKED)
        await response.content.readany()
        response.close()
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert _run(_recording(Exchange(0, REQUEST, None, OK, _chunks((40, b"one")), End(SECOND))), program) == 1


@examples(60)
@given(recordings(errors=True))
def test_the_bytes_of_any_recording_come_in_time(recording: Recording) -> None:
    exchange = recording.exchanges[0]
    with contextlib.suppress(aiohttp.ClientError):
        told = _run(recording, _read)
        assert b"".join(piece for _, piece in told) == b"".join(chunk.data for chunk in exchange.chunks)
        # An instant is rounded to milliseconds, of a clock that began at any fraction of one.
        instants = [chunk.at / MILLISECOND for chunk in exchange.chunks]
        assert all(any(abs(at - instant) < 0.51 for instant in instants) for at, _ in told)


def test_a_version_without_a_name_that_is_needed_is_not_half_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    door = AiohttpDoor(lambda: None, Recognition())
    monkeypatch.delattr(BaseConnector, "_create_connection")
    connect = BaseConnector.connect

    with pytest.raises(InterceptionError, match=r"aiohttp .* has no aiohttp\.BaseConnector\._create_connection"):
        door.install()

    assert BaseConnector.connect is connect


def test_a_door_leaves_aiohttp_as_it_was() -> None:
    before = dict(vars(ResponseHandler)), BaseConnector.connect, ClientSession._request
    door = AiohttpDoor(lambda: None, Recognition())

    door.install()
    door.prove()
    door.uninstall()

    assert (dict(vars(ResponseHandler)), BaseConnector.connect, ClientSession._request) == before


FAILURES = {
    "[Name or service not known]": aiohttp.ClientConnectorDNSError,
    "[Temporary failure in name resolution]": aiohttp.ClientConnectorDNSError,
    "[Domain name not found]": aiohttp.ClientConnectorDNSError,
    "[SSLCertVerificationError: (1, '[SSL: CERTIFICATE_VERIFY_FAILED] it expired')]": (
        aiohttp.ClientConnectorCertificateError
    ),
    "[[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)]": aiohttp.ClientConnectorSSLError,
    "[Connect call failed ('127.0.0.1', 9)]": aiohttp.ClientConnectorError,
}


@pytest.mark.parametrize(("reason", "kind"), FAILURES.items())
def test_a_connection_that_failed_raises_the_class_that_its_reason_has_in_aiohttp(
    reason: str, kind: type[Exception]
) -> None:
    text = f"Cannot connect to host api.anthropic.com:443 ssl:default {reason}"

    error = connect_error(KEY, text)

    assert type(error) is kind
    assert str(error).replace("ssl:True", "ssl:default") == text


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("[Errno -2] Name or service not known", aiohttp.ClientConnectorDNSError, -2),
        ("[Errno 113] No route to host", aiohttp.ClientConnectorError, errno.EHOSTUNREACH),
        ("All connection attempts failed", aiohttp.ClientConnectorError, errno.ECONNREFUSED),
    ],
)
def test_what_another_library_recorded_becomes_aiohttps_own_error(text: str, kind: type[OSError], number: int) -> None:
    error = connect_error(KEY, text)

    assert (type(error), error.errno) == (kind, number)
