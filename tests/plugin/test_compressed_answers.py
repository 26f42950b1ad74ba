"""Answers that a program decompresses itself: a replay compresses them again, where the library reads the wire."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_answers import Encoding
from tests.support.claude_messages import text

PROGRAM = """
import importlib, os, zlib
from importlib.util import find_spec
import aiohttp, httpx, requests, urllib3

RAW = [importlib.import_module(name) for name in ("httpx", "httpx2") if find_spec(name)]

URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"
BODY = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages("hi"), "stream": True}
GZIP = {"accept-encoding": "gzip, deflate"}


def inflated(data, encoding):
    return zlib.decompress(data, wbits={"gzip": 31, "deflate": 15, None: 0}[encoding])


def by_urllib3():
    with urllib3.PoolManager() as pool:
        answer = pool.request("POST", URL, json=BODY, headers=GZIP, preload_content=False, decode_content=False)
        return inflated(answer.read(), answer.headers.get("content-encoding"))


def by_raw_requests():
    with requests.post(URL, json=BODY, stream=True) as answer:
        return inflated(answer.raw.read(), answer.headers.get("content-encoding"))


def by_requests():
    with requests.post(URL, json=BODY, stream=True) as answer:
        return b"".join(answer.iter_content(None))


def by_aiohttp(decompresses=False):
    async def main():
        async with aiohttp.ClientSession(auto_decompress=decompresses) as session:
            async with session.post(URL, json=BODY, headers=GZIP) as answer:
                data = await answer.read()
                return data if decompresses else inflated(data, answer.headers.get("content-encoding"))

    return asyncio.run(main())


def by_httpx():
    return httpx.post(URL, json=BODY).content


def by_raw_httpx(library):
    with library.stream("POST", URL, json=BODY, headers=GZIP) as answer:
        parts = list(answer.iter_raw())
        return b"".join(inflated_parts(parts, answer.headers.get("content-encoding")))


def by_raw_async_httpx(library):
    async def main():
        async with library.AsyncClient() as client, client.stream("POST", URL, json=BODY, headers=GZIP) as answer:
            parts = [part async for part in answer.aiter_raw()]
            return b"".join(inflated_parts(parts, answer.headers.get("content-encoding")))

    return asyncio.run(main())


def inflated_parts(parts, encoding):
    inflating = zlib.decompressobj(wbits={"gzip": 31, "deflate": 15}[encoding])
    read = [inflating.decompress(part) for part in parts]
    assert len([part for part in read if part]) > 1  # each could be read when it came
    return read


WAYS = {
    "urllib3": by_urllib3,
    "raw requests": by_raw_requests,
    "requests": by_requests,
    "aiohttp": by_aiohttp,
    "aiohttp decompressing": lambda: by_aiohttp(decompresses=True),
    "httpx": by_httpx,
    **{f"raw {library.__name__}": lambda library=library: by_raw_httpx(library) for library in RAW},
    **{f"raw async {library.__name__}": lambda library=library: by_raw_async_httpx(library) for library in RAW},
}
"""


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_program_that_decompresses_itself_gets_compressed_bytes(suite: Suite, encoding: Encoding) -> None:
    suite.write(
        PROGRAM
        + """
@pytest.mark.parametrize("way", WAYS)
def test_it(way, claude_latency):
    assert b'"wor"' in WAYS[way]()
    (call,) = claude_latency.calls
    save_result([call.ttft, call.total])
    assert call.output_tokens
"""
    )
    suite.server.answers(lambda request: text("Hello |wor|ld", ttfb="9ms", gaps=["9ms", "9ms"]).compressed(encoding))
    ways = 10 if find_spec("httpx2") else 8

    suite.record().assert_outcomes(passed=ways)
    recorded = suite.saved_result

    suite.replay().assert_outcomes(passed=ways)

    assert suite.saved_result == pytest.approx(recorded, abs=2e-6)
    assert f'"encoding": "{encoding}"' in (suite.path / suite.recordings()[0]).read_text()


def test_a_recording_of_compressed_answers_fits_clients_that_accept_none(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    assert ask() == 'Hello world'\n")
    suite.server.answers(lambda request: text("Hello world").compressed("gzip"))
    suite.record().assert_outcomes(passed=1)
    suite.write(
        PROGRAM
        + """
def test_it(claude_latency):
    body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages("hi")}
    with urllib3.PoolManager() as pool:
        answer = pool.request("POST", URL, json=body, decode_content=False)
    assert answer.json()["content"][0]["text"] == "Hello world"
    assert "content-encoding" not in answer.headers
"""
    )

    suite.replay().assert_outcomes(passed=1)
