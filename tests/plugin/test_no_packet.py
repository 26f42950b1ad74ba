"""In a replay no packet leaves, whichever client asks and whatever is mocked. An audit hook of Python proves it."""

from __future__ import annotations

import anthropic
import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_RECORDED
from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite

AUDIT = """
import sys

NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def noted(event, args):
    if event in NETWORK:
        with open("packets.txt", "a") as log:
            print(event, *args, file=log)


sys.addaudithook(noted)
"""

SOURCE = f"""
import os, socket
import httpx, respx
import {HTTPLibrary.of_sdk().name} as sdk_http

LIVE = os.environ.get("ANTHROPIC_BASE_URL")
AWS = {{"base_url": LIVE}} if LIVE else {{}}


class Custom(sdk_http.HTTPTransport):
    pass


def own(**settings):
    return anthropic.Anthropic(http_client=sdk_http.Client(**settings))


async def with_async(**settings):
    async with anthropic.AsyncAnthropic(**settings) as client:
        return await astream(client=client)


def in_thread():
    async def run():
        return await asyncio.to_thread(ask)
    return asyncio.run(run())


CLIENTS = {{
    "sync": ask,
    "stream": stream,
    "async": lambda: asyncio.run(with_async()),
    "thread": in_thread,
    "custom transport": lambda: ask(client=own(transport=Custom())),
    "mounts": lambda: ask(client=own(mounts={{"all://": Custom()}})),
    "proxy": lambda: ask(client=own(proxy=LIVE or "http://127.0.0.1:9")),
    "bedrock": lambda: ask(client=anthropic.AnthropicBedrock(aws_region="us-east-1", api_key="x", **AWS)),
}}
if "AIOHTTP":
    CLIENTS["aiohttp"] = lambda: asyncio.run(with_async(http_client=anthropic.DefaultAioHttpClient()))


def router(using, **more):
    return respx.mock(using=using, assert_all_called=False, **more)


@pytest.fixture
def mocked(request):
    kind = request.param
    if kind in ("httpx", "httpcore"):
        with router(kind) as mock:
            mock.get("https://shop.example/").respond(200)
            yield
    elif kind == "all pass through":
        with router("httpx") as mock, router("httpcore", assert_all_mocked=False) as other:
            mock.route().pass_through()
            other.route().pass_through()
            yield
    elif kind == "nothing mocked":
        with router("httpcore", assert_all_mocked=False), router("httpx", assert_all_mocked=False):
            yield
    elif kind == "left running":
        mock = router("httpx")
        mock.route().pass_through()
        mock.start()
        yield
        request.session.config.add_cleanup(mock.stop)
    else:
        yield


MOCKS = ["httpx", "httpcore", "all pass through", "nothing mocked", "left running"]
CASES = [(client, "none") for client in CLIENTS] + [(client, mock) for mock in MOCKS for client in ("sync", "async")]
each = pytest.mark.parametrize(("client", "mocked"), CASES, indirect=["mocked"])


@each
def test_recorded(client, mocked, claude_latency):
    assert CLIENTS[client]() == "Hello world"
    assert len(claude_latency.calls) == 1


@each
def test_unrecorded(client, mocked, claude_latency):
    CLIENTS[client]()


def test_the_audit():
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
"""


@pytest.mark.slow
def test_no_packet_leaves_whichever_client_asks_and_whatever_is_mocked(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.write(SOURCE.replace("AIOHTTP", _aiohttp()))
    recorded = suite.record("-k", "test_recorded").parseoutcomes()["passed"]
    suite.server.close()
    (suite.path / "conftest.py").write_text(AUDIT)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-would-be-sent")

    result = suite.pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")

    assert recorded >= 18
    assert result.parseoutcomes() == {"passed": recorded + 1, "failed": recorded}
    assert result.stdout.str().count("\n" + NOTHING_RECORDED.format(request="POST")) == recorded
    packets = (suite.path / "packets.txt").read_text().splitlines()
    assert len(packets) == 2, packets  # the audit's own proof: it looked an address up, and connected
    assert all("127.0.0.1" in packet for packet in packets)


def _aiohttp() -> str:
    """True text where the SDK can send through aiohttp."""
    try:
        anthropic.DefaultAioHttpClient()
    except RuntimeError:
        return ""
    return "aiohttp"
