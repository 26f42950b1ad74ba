"""Hand-written clients on aiohttp: recorded, replayed offline, and measured like the SDK."""

from __future__ import annotations

import json
import socket
from importlib.util import find_spec
from typing import Any

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from pytest_claude_latency.messages_api.exchange import Request
from tests.plugin.suite import Suite
from tests.support.claude_answers import Answer, hang_up, redirect, silence, status
from tests.support.claude_messages import text

PROGRAM = """
import contextlib, io, os, socket
import aiohttp

HEADERS = {"x-api-key": "a-key-for-tests", "anthropic-version": "2023-06-01"}
IS_REPLAY = "ANTHROPIC_BASE_URL" not in os.environ
URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"

if IS_REPLAY:
    @pytest.fixture(autouse=True)
    def no_network(monkeypatch):
        def refuse(*args):
            raise AssertionError(f"a replay went to the network: {args}")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr(asyncio.BaseEventLoop, "sock_connect", refuse, raising=False)


def body(prompt="hi", **more):
    return {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages(prompt), **more}


async def post(session, prompt="hi", stream=True, url=URL, **more):
    if not {"data", "json"} & more.keys():
        more["json"] = body(prompt, stream=stream)
    async with session.post(url, headers=HEADERS, **more) as response:
        return (await response.read()).decode()


def run(program, **session):
    async def main():
        async with aiohttp.ClientSession(**session) as opened:
            return await program(opened)

    return asyncio.run(main())


async def outcome_of(awaitable):
    began = time.monotonic()
    try:
        told = await awaitable
    except Exception as error:
        told = [type(error).__module__.partition(".")[0], type(error).__name__, str(error)]
    return told, time.monotonic() - began


"""

FILES_KEEP = 2e-6
"""Seconds: recordings keep offsets to the microsecond."""

COMPUTING = 0.3
"""Seconds: what the program itself computes between two requests takes time in a recording and none in a replay."""

LONG = text("Grüße aus |Köln, |schöne Stadt", ttfb="5ms", gaps=["4ms", "6ms", "8ms"])


def _record_and_replay(
    suite: Suite, source: str, *answers: Answer, within: float = FILES_KEEP
) -> tuple[Any, list[dict[str, Any]]]:
    """Return what the test told in both runs, and its calls in the replay."""
    suite.write(PROGRAM + source)
    suite.server.answer(*answers)
    told, calls = [], []
    for run in (suite.record, suite.replay):
        run().assert_outcomes(passed=1)
        told.append(suite.saved_result if (suite.path / "result.json").exists() else None)
        calls.append(suite.calls("test_it"))
    assert told[1] == told[0]
    for recorded, replayed in zip(*calls, strict=True):
        for name in ("ttfb", "ttft", "ttfa", "total", "longest_gap"):
            assert replayed[name] == pytest.approx(recorded[name], abs=within), name
        for name in ("streamed", "status", "attempts", "output_tokens", "stop_reason", "error", "closed", "model"):
            assert replayed[name] == recorded[name], name
    return told[1], calls[1]


WAYS_TO_READ = {
    "read": "(await response.read()).decode()",
    "text": "await response.text()",
    "iter_any": "b''.join([part async for part in response.content.iter_any()]).decode()",
    "iter_chunks": "b''.join([part async for part, whole in response.content.iter_chunks()]).decode()",
    "iter_chunked": "b''.join([part async for part in response.content.iter_chunked(7)]).decode()",
    "readline": "b''.join([line async for line in response.content]).decode()",
    "readany": "(await response.content.readany() + await response.content.read()).decode()",
}


def test_a_head_that_cannot_be_parsed_is_refused_again(suite: Suite) -> None:
    told, _ = _record_and_replay(
        suite,
        """
def test_it(claude_latency):
    told, _ = run(lambda session: outcome_of(post(session)))
    save_result([told[1], told[2].partition(", url=")[0]])
""",
        LONG.with_headers(x="\0"),
    )

    assert told[0] == "ClientResponseError"


@pytest.mark.parametrize("way", WAYS_TO_READ.values(), ids=WAYS_TO_READ)
def test_a_stream_is_read_in_each_way(suite: Suite, way: str) -> None:
    told, calls = _record_and_replay(
        suite,
        f"""
async def program(session):
    async with session.post(URL, headers=HEADERS, json=body(stream=True)) as response:
        return {way}


def test_it(claude_latency):
    save_result(run(program))
""",
        LONG,
    )

    assert told.count("content_block_delta") == 6
    assert calls[0]["ttft"] > 0.005


def test_an_answer_that_is_not_streamed_is_replayed_whole(suite: Suite) -> None:
    told, (call,) = _record_and_replay(
        suite,
        """
async def program(session):
    async with session.post(URL, headers=HEADERS, json=body()) as response:
        response.raise_for_status()
        return (await response.json())["content"][0]["text"]


def test_it(claude_latency):
    save_result(run(program))
""",
        LONG,
    )

    assert told == "Grüße aus Köln, schöne Stadt"
    assert call["streamed"] is False


WIRES: dict[str, Answer] = {
    "gzip": LONG.compressed("gzip"),
    "deflate": LONG.compressed("deflate"),
    "chunks of seven bytes": LONG.split(size=7, gap=0),
    "chunks that end inside characters": LONG.split_in_characters(),
    "an error event in mid-stream": LONG.failing(2, gap="3ms"),
    "a drop in mid-stream": LONG.dropped(2),
    "a reset in mid-stream": LONG.dropped(2, wait="3ms", reset=True),
    "an HTTP error": status(400),
    "an overload": status(529),
    "an empty body": Answer(413, chunked=True),
    "a connection closed before any answer": hang_up("3ms"),
    "a connection reset before any answer": hang_up("3ms", reset=True),
}


ERRORS = {
    WIRES["a drop in mid-stream"]: "RemoteProtocolError",
    WIRES["a reset in mid-stream"]: "ReadError",
    WIRES["a connection closed before any answer"]: "RemoteProtocolError",
    WIRES["a connection reset before any answer"]: "ReadError",
}


@pytest.mark.parametrize("answer", WIRES.values(), ids=WIRES)
def test_a_replay_repeats_what_the_program_met(suite: Suite, answer: Answer) -> None:
    _, calls = _record_and_replay(
        suite,
        """
async def program(session):
    return (await outcome_of(post(session)))[0]


def test_it(claude_latency):
    save_result(run(program))
""",
        answer,
    )

    assert [call["error"] for call in calls] == [ERRORS.get(answer, calls[0]["error"])]


def test_compressed_bytes_that_a_session_keeps_are_replayed_decompressed(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
def test_it(claude_latency):
    program = lambda session: session.post(URL, headers=HEADERS, json=body())

    async def main():
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            async with session.post(URL, headers=HEADERS, json=body()) as response:
                return await response.read()

    assert b"Hello wor" not in asyncio.run(main())
    assert claude_latency.calls[0].output_tokens
"""
    )
    suite.server.answer(text("Hello world").compressed("gzip"))

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


BODIES = {
    "json": "json=body()",
    "bytes": "data=json.dumps(body()).encode()",
    "text": "data=json.dumps(body())",
    "a file": "data=open('body.json', 'rb')",
    "a text file": "data=open('body.json')",
    "bytes in memory": "data=io.BytesIO(json.dumps(body()).encode())",
    "an async iterator": "data=pieces()",
    "compressed": "json=body(), compress='gzip'",
    "chunked": "json=body(), chunked=True",
}


@pytest.mark.parametrize("given", BODIES.values(), ids=BODIES)
def test_a_body_is_read_whatever_it_is(suite: Suite, given: str) -> None:
    source = f"""
import json


async def pieces():
    for byte in json.dumps(body()).encode():
        yield bytes([byte])


def test_it(claude_latency):
    with open("body.json", "w") as file:
        json.dump(body(PROMPT), file)
    run(lambda session: post(session, {given}))
    assert len(claude_latency.calls) == 1
"""
    suite.write(PROGRAM + source.replace("PROMPT", "'hi'"))
    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)
    (request,) = suite.server.requests
    if "compress" not in given:
        assert json.loads(request.content)["model"] == "claude-haiku-4-5"

    suite.write(PROGRAM + source.replace("body()", "body('ho')").replace("PROMPT", "'ho'"))
    suite.replay().assert_outcomes(failed=1)
    assert len(suite.server.log) == 1


def test_a_form_is_compared_by_its_parts(suite: Suite) -> None:
    source = """
def test_it(claude_latency):
    form = aiohttp.FormData()
    form.add_field("purpose", "user_data")
    form.add_field("file", io.BytesIO(b"Hello"), filename="hello.txt", content_type="text/plain")
    run(lambda session: post(session, url=URL.replace("messages", "files"), data=form))
"""
    suite.write(PROGRAM + source)
    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    suite.write(PROGRAM + source.replace("Hello", "Hallo"))
    suite.replay().assert_outcomes(failed=1)

    assert b"Hello" in suite.server.requests[0].content


def test_a_variant_goes_out_with_its_own_body(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
@pytest.mark.latency_variants(max_tokens=[50])
def test_it(claude_latency):
    run(post)
    run(lambda session: post(session, data=io.BytesIO(json.dumps(body()).encode())))
    run(lambda session: post(session, json=body(), compress="deflate"))


import json
"""
    )

    suite.record("--latency-variants").assert_outcomes(passed=2)
    suite.replay("--latency-variants").assert_outcomes(passed=2)

    plain = [request.json for request in suite.server.requests if request.json is not None]
    assert [sent["max_tokens"] for sent in plain] == [9, 9, 50, 50]
    assert len(suite.server.log) == 6


def test_samples_begin_with_an_open_connection(suite: Suite) -> None:
    suite.write(PROGRAM + "def test_it(claude_latency):\n    run(post)\n")

    suite.record("--latency-samples=2").assert_outcomes(passed=2)

    assert not any('"connect"' in (suite.path / name).read_text() for name in suite.recordings())
    assert len(suite.server.log) == 2


@pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")
def test_a_recording_made_on_uvloop(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
import uvloop


def test_it(claude_latency):
    async def main():
        async with aiohttp.ClientSession() as session:
            return await post(session), await post(session)

    assert "Köln" in "".join(uvloop.run(main()))
    assert len(claude_latency.calls) == 2
"""
    )
    suite.server.answer(LONG, LONG)
    suite.record().assert_outcomes(passed=1)
    recorded = [call["ttft"] for call in suite.calls("test_it")]

    suite.replay().assert_outcomes(passed=1)

    assert [call["ttft"] for call in suite.calls("test_it")] == pytest.approx(recorded, abs=FILES_KEEP)


def test_a_replay_at_the_recorded_pace(suite: Suite) -> None:
    suite.write(PROGRAM + "def test_it(claude_latency):\n    assert 'Köln' in run(post)\n")
    suite.server.answer(LONG)
    suite.record().assert_outcomes(passed=1)

    suite.replay("--latency-clock=real").assert_outcomes(passed=1)


GATHERING = (
    PROGRAM
    + """
async def program(session):
    began = time.monotonic()
    await asyncio.gather(post(session, "one"), post(session, "two"), post(session, "three"))
    return time.monotonic() - began
"""
)


def test_gathered_requests_overlap(suite: Suite) -> None:
    suite.write(
        GATHERING
        + """
def test_it(claude_latency):
    save_result(run(program))
    assert len(claude_latency.calls) == 3
"""
    )
    suite.server.answers(
        lambda request: text("Hello", ttfb={"one": "100ms", "two": "200ms"}.get(_prompt(request), "300ms"))
    )
    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    one_after_another = sum(call["total"] for call in suite.calls("test_it"))
    assert 0.3 <= suite.saved_result < one_after_another
    assert 0.3 <= suite.test("test_it")["elapsed"] < one_after_another


def _prompt(request: Request) -> str:
    return str(request.json["messages"][0]["content"])


def test_a_connectors_limit_holds_in_a_replay(suite: Suite) -> None:
    suite.write(
        GATHERING
        + """
def test_it(claude_latency):
    limit = LIMIT

    async def main():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit)) as session:
            return await program(session)

    save_result(asyncio.run(main()))
""".replace("LIMIT", "1 if IS_REPLAY else 3")
    )
    suite.server.answers(lambda request: text("Hello", ttfb="100ms"))
    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result >= 0.3


TIMEOUTS = {
    "total": ("ClientTimeout(total=0.2)", ["builtins", "TimeoutError", ""]),
    "sock_read": (
        "ClientTimeout(sock_read=0.2)",
        ["aiohttp", "SocketTimeoutError", "Timeout on reading data from socket"],
    ),
}


@pytest.mark.parametrize(("limits", "expected"), TIMEOUTS.values(), ids=TIMEOUTS)
@pytest.mark.parametrize("answer", [silence(), LONG.stalled(2)], ids=["before the headers", "in mid-stream"])
def test_a_time_out_fires_in_virtual_time(suite: Suite, answer: Answer, limits: str, expected: list[str]) -> None:
    suite.write(
        PROGRAM
        + f"""
def test_it(claude_latency):
    told, took = run(lambda session: outcome_of(post(session)), timeout=aiohttp.{limits})
    assert 0.2 <= took
    assert took < 0.3 or not IS_REPLAY
    save_result(told)
"""
    )
    suite.server.answer(answer)
    for run in (suite.record, suite.replay):
        run().assert_outcomes(passed=1)

        assert suite.saved_result == expected
        (call,) = suite.calls("test_it")
        assert (call["error"], call["closed"]) == (("ReadTimeout", None) if "sock_read" in limits else (None, "client"))


def test_a_shorter_time_out_fires_in_virtual_time_though_an_answer_was_recorded(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
def test_it(claude_latency):
    limits = aiohttp.ClientTimeout(sock_read=0.1 if IS_REPLAY else 9)
    save_result(run(lambda session: outcome_of(post(session)), timeout=limits)[1])
"""
    )
    suite.server.answer(text("Hello", ttfb="300ms"))
    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    assert 0.1 <= suite.saved_result < 0.3  # 0.1 and the recorded time until the connection was open


def test_no_connection(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
def test_it(claude_latency):
    url = "http://127.0.0.1:PORT/v1/messages"
    told, took = run(lambda session: outcome_of(post(session, url=url)))
    assert told[:2] == ["aiohttp", "ClientConnectorError"]
    save_result(told)
    assert [call.error for call in claude_latency.calls] == ["ConnectError"]
""".replace("PORT", str(_closed_port()))
    )
    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result

    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == recorded


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_miss_fails_at_once_and_leaves_nothing(suite: Suite) -> None:
    suite.write(PROGRAM + "def test_it(claude_latency):\n    run(lambda session: outcome_of(post(session)))\n")
    suite.record().assert_outcomes(passed=1)
    suite.write(
        PROGRAM + "def test_it(claude_latency):\n    run(lambda session: outcome_of(post(session, 'changed')))\n"
    )

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*" + NOTHING_FITS.format(request="POST /v1/messages*"), "*messages?0?.content*"])
    assert len(suite.server.log) == 1


@pytest.mark.parametrize("later", ["0", "1"])
def test_a_program_that_reads_on_where_the_recorded_one_stopped_misses(suite: Suite, later: str) -> None:
    suite.write(
        PROGRAM
        + f"LATER = {later}\n"
        + """
async def program(session):
    async with session.post(URL, headers=HEADERS, json=body(stream=True)) as response:
        await response.content.readany()
        if IS_REPLAY:
            await asyncio.sleep(LATER)
            await response.read()


def test_it(claude_latency):
    run(program)
"""
    )
    suite.server.answer(LONG.stalled(2))
    suite.record().assert_outcomes(passed=1)
    assert [call["closed"] for call in suite.calls("test_it")] == ["client"]

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*stopped*"])


def test_a_program_that_holds_an_answer_without_reading_it_does_not_miss(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
async def program(session):
    async with session.post(URL, headers=HEADERS, json=body(stream=True)) as response:
        await response.content.readany()
        if IS_REPLAY:
            await asyncio.sleep(1)


def test_it(claude_latency):
    run(program)
"""
    )
    suite.server.answer(LONG.stalled(2))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def test_middlewares_stand_above_the_door(suite: Suite) -> None:
    if not _has_middlewares():
        pytest.skip("this aiohttp has no middlewares")
    _, calls = _record_and_replay(
        suite,
        """
async def retrying(request, handler):
    for _ in range(3):
        response = await handler(request)
        if response.status == 200:
            return response
        await asyncio.sleep(0.5)


def test_it(claude_latency):
    save_result(run(post, middlewares=(retrying,)))
    assert [call.attempts for call in claude_latency.calls] == [2]
""",
        status(529),
        LONG,
        within=COMPUTING,
    )

    assert len(calls) == 1


def _has_middlewares() -> bool:
    import aiohttp

    return hasattr(aiohttp, "ClientMiddlewareType")


def test_a_proxy_is_not_asked_in_a_replay(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
def test_it(claude_latency):
    proxy = "http://127.0.0.1:9" if IS_REPLAY else None
    assert "Hello" in run(lambda session: post(session, proxy=proxy))
"""
    )
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def test_a_redirect_is_no_attempt_of_its_own(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
def test_it(claude_latency):
    assert "Grüße" in run(post)
    assert [call.attempts for call in claude_latency.calls] == [1]
"""
    )
    suite.server.answer(redirect("/elsewhere/v1/messages"), LONG)
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def test_all_else_passes_untouched(suite: Suite) -> None:
    suite.write(
        PROGRAM.replace("if IS_REPLAY", "if False")
        + f"""
def test_it(claude_latency):
    async def program(session):
        async with session.post("{suite.server.url}/v1/embeddings", json={{"input": "x"}}) as response:
            return response.status

    assert run(program) == 400
    assert claude_latency.calls == ()
"""
    )

    suite.replay()
    suite.record().assert_outcomes(passed=1)

    assert [request.path for request in suite.server.requests] == ["/v1/embeddings"] * 2


def test_a_recording_of_the_sdk_is_replayed_by_aiohttp(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
def test_it(claude_latency):
    if IS_REPLAY:
        assert "wor" in run(lambda session: post(session, json=body()))
    else:
        assert ask(max_tokens=9) == "Hello world"
"""
    )
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def test_something_that_replaces_the_door_is_found(suite: Suite) -> None:
    suite.write(
        PROGRAM
        + """
@pytest.fixture(autouse=True, scope="module")
def replaced():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp.BaseConnector, "connect", lambda *args: None)
        yield


def test_first(claude_latency):
    pass


def test_second(claude_latency):
    pass
"""
    )

    result = suite.replay()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*requests of aiohttp are not intercepted*"])
