"""The guard: a call to Claude past every door is refused in a replay, and told of in every other run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_claude_latency.http.guard.connection import REFUSED
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.run.messages import STRAY
from tests.plugin.suite import Suite, whole_lines
from tests.support.far_server import FarServer, far_server

LIBRARY = HTTPLibrary.of_sdk().name

CLIENTS = """
import http.client, json, os, socket, threading, urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

URL = os.environ["ANTHROPIC_BASE_URL"]
HOST, PORT = urlsplit(URL).hostname, urlsplit(URL).port
BODY = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
HEADERS = {"content-type": "application/json", "anthropic-version": "2023-06-01", "content-length": str(len(BODY))}
RAW = b"POST /v1/messages HTTP/1.1\\r\\nhost: x\\r\\n" + b"".join(
    f"{name}: {value}\\r\\n".encode() for name, value in HEADERS.items()
) + b"\\r\\n" + BODY


def by_urllib(opener=urllib.request.build_opener(urllib.request.ProxyHandler({}))):
    request = urllib.request.Request(f"{URL}/v1/messages", BODY, HEADERS)
    with opener.open(request, timeout=10) as answer:
        return answer.read()


def by_http_client(connection=None):
    connection = connection or http.client.HTTPConnection(HOST, PORT, timeout=10)
    connection.request("POST", "/v1/messages", BODY, HEADERS)
    return connection.getresponse().read()


def by_socket(host=HOST):
    with socket.create_connection((host, PORT), timeout=10) as connection:
        connection.sendall(RAW)
        return connection.recv(1000)


def by_bare_socket():
    with socket.socket() as connection:
        assert connection.connect_ex((HOST, PORT)) == 0
        connection.sendall(RAW)
        return connection.recv(1000)


async def by_streams(host=HOST):
    reader, writer = await asyncio.open_connection(host, PORT)
    writer.write(RAW)
    answer = await reader.read(1000)
    writer.close()
    return answer


async def by_anyio():
    import anyio

    async with await anyio.connect_tcp("localhost", PORT) as stream:
        await stream.send(RAW)
        return await stream.receive()


def swallowed():
    try:
        by_urllib()
    except BaseException:
        pass


async def gathered():
    await asyncio.gather(by_streams(), asyncio.to_thread(by_urllib), return_exceptions=True)


def in_thread():
    thread = threading.Thread(target=swallowed)
    thread.start()
    thread.join()


def in_pool():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(by_urllib).exception()


def by_trio():
    import trio

    async def connect():
        stream = await trio.open_tcp_stream(HOST, PORT)
        async with stream:
            await stream.send_all(RAW)
            return await stream.receive_some()

    return trio.run(connect)


WAYS = {
    "urllib": by_urllib,
    "http.client": by_http_client,
    "socket": by_socket,
    "socket by name": lambda: by_socket("localhost"),
    "bare socket": by_bare_socket,
    "streams": lambda: asyncio.run(by_streams()),
    "streams by name": lambda: asyncio.run(by_streams("localhost")),
    "anyio": lambda: asyncio.run(by_anyio()),
    "trio": by_trio,
    "swallowed": swallowed,
    "gathered": lambda: asyncio.run(gathered()),
    "thread": in_thread,
    "pool": in_pool,
}
"""

EACH = (
    CLIENTS
    + """
@pytest.mark.parametrize("way", WAYS)
def test_it(way, claude_latency):
    WAYS[way]()
"""
)

CONNECTS = REFUSED.format(library="")


@pytest.fixture(scope="module")
def far() -> Iterator[FarServer]:
    with far_server() as server:
        yield server


def test_a_replay_refuses_each_way_past_the_doors_even_if_the_error_is_swallowed(suite: Suite, far: FarServer) -> None:
    suite.write(EACH)
    before = far.served

    result = suite.run(base_url=far.url)

    ways = result.parseoutcomes()["failed"]
    assert result.parseoutcomes() == {"failed": ways}
    assert result.stdout.str().count(f"{CONNECTS}\n") == ways
    assert far.served == before


@pytest.mark.parametrize(
    ("way", "library", "function"),
    [
        ("urllib", "urllib.request", "by_urllib"),
        ("http.client", "http.client", "by_http_client"),
        ("socket", "socket", "by_socket"),
        ("bare socket", "socket", "by_bare_socket"),
        ("streams by name", "asyncio.streams", "by_streams"),
        ("anyio", "anyio", "by_anyio"),
        ("gathered", "asyncio.streams", "by_streams"),
    ],
)
def test_the_message_names_the_library_the_line_and_the_host(
    suite: Suite, far: FarServer, way: str, library: str, function: str
) -> None:
    suite.write(EACH)

    result = suite.run(f"test_it.py::test_it[{way}]", base_url=far.url)

    whole_lines(result).fnmatch_lines(
        [
            f"{library}{CONNECTS}",
            f"  library   {library}",
            f"  program   *test_it.py:* in {function}",
            f"  host      *:{far.port}",
            "  do        call Claude through a client that is recorded and replayed, for*",
        ]
    )


@pytest.mark.parametrize("mode", ["record", "live"])
def test_a_run_that_sends_fails_a_test_all_of_whose_calls_went_past_the_doors(
    suite: Suite, far: FarServer, mode: str
) -> None:
    suite.write(EACH)

    result = suite.run(f"--latency-mode={mode}", base_url=far.url)

    ways = result.parseoutcomes()["failed"]
    assert result.parseoutcomes() == {"failed": ways}
    assert result.stdout.str().count("\nno call of this test was measured, but it talked to a Claude API thr") == ways
    assert suite.recordings() == []


def test_beside_measured_calls_a_run_that_sends_warns(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
def test_it(claude_latency):
    ask(client=anthropic.Anthropic(base_url="SERVER"))
    by_urllib()
    by_urllib()
""".replace("SERVER", suite.server.url)
    )

    result = suite.run("--latency-mode=record", key="a-key", base_url=far.url)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["warning: test_it.py::test_it: urllib.request called a Claude API past this*", "  program   *:* in by_urllib"]
    )
    assert result.stdout.str().count("warning: ") == 1
    assert len(suite.recordings()) == 1


def test_the_sdk_is_no_way_past_the_doors(suite: Suite, far: FarServer) -> None:
    suite.write(
        """
def test_sync(claude_latency):
    ask()

def test_async(claude_latency):
    asyncio.run(aask())

def test_uvloop(claude_latency):
    import uvloop
    uvloop.run(aask())
"""
    )

    for url in (far.url, far.url.replace("127.0.0.1", "localhost")):
        result = suite.run("--latency-mode=record", key="a-key", base_url=url)

        result.assert_outcomes(passed=3)
        result.stdout.no_fnmatch_line("*past this plugin*")


BETWEEN = {
    "a method of all clients": ("patch.setattr(sdk_http.Client, 'send', goes_around)", "errors"),
    "the method that was patched": ("patch.setattr(sdk_http.Client, '_send_single_request', original)", "errors"),
    "the list of doors": ("mocker().routers.clear()", "errors"),
    "all patches": ("mocker().stop(force=True)", "errors"),
    "a router that has stopped": ("respx.start(); respx.stop()", "passed"),
    "a method of the transport": ("patch.setattr(sdk_http.HTTPTransport, 'handle_request', below)", "passed"),
    # No probe comes through one client of the program's own. Below it, its transport is met.
    "a method of one client": ("patch.setattr(client()._client, 'send', around_client)", "passed"),
    "both": (
        "patch.setattr(client()._client, 'send', around_client); "
        "patch.setattr(sdk_http.HTTPTransport, 'handle_request', below)",
        "failed",
    ),
}


@pytest.mark.parametrize("what", BETWEEN)
def test_what_is_patched_between_two_latency_tests_lets_nothing_out(suite: Suite, far: FarServer, what: str) -> None:
    patching, outcome = BETWEEN[what]
    suite.write(
        f"""
import functools, os, respx
import {LIBRARY} as sdk_http
from respx.mocks import Mocker

original = sdk_http.Client._send_single_request
below = sdk_http.HTTPTransport.handle_request
client = functools.cache(anthropic.Anthropic)


def goes_around(client, request, **options):
    answer = original(client, request)
    answer.read()
    return answer


def around_client(request, **options):
    return goes_around(client()._client, request)


def mocker():
    return Mocker.registry["claude-latency-{LIBRARY}"]


def test_before(claude_latency):
    ask("before", client())


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_in_between(patch):
    if os.environ["ANTHROPIC_API_KEY"] == "of the replay":
        {patching}


def test_after(patch, claude_latency):
    ask("after", client())
"""
    )
    suite.record().assert_outcomes(passed=3)
    before = far.served

    result = suite.run("--latency-budget", key="of the replay", base_url=far.url)

    outcomes = {"passed": 2}
    outcomes[outcome] = outcomes.get(outcome, 0) + 1
    result.assert_outcomes(**outcomes)
    assert far.served == before


def test_a_connection_kept_alive_is_refused_by_its_next_request(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
kept = http.client.HTTPConnection(HOST, PORT, timeout=10)


def test_ordinary():
    assert by_http_client(kept)


def test_it(claude_latency):
    by_http_client(kept)


def test_ordinary_again():
    assert by_http_client(kept)
"""
    )
    before = far.served

    result = suite.run(base_url=far.url)

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([f"http.client{CONNECTS}"])
    assert far.served == before + 2


PROXIED = """
import http.client, socketserver, threading, urllib.request
from urllib.parse import urlsplit

met = []


class Proxy(socketserver.BaseRequestHandler):
    def handle(self):
        if data := self.request.recv(1000):
            met.append(data)


@pytest.fixture(scope="module")
def proxy():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
    assert met == []


def by_urllib(proxies, scheme="https"):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    opener.open(f"{scheme}://api.anthropic.com/v1/messages", b"{}")


def by_http_client(proxies):
    connection = http.client.HTTPSConnection(urlsplit(proxies["https"]).netloc)
    connection.set_tunnel("api.anthropic.com")
    connection.request("POST", "/v1/messages", b"{}")


def in_the_clear(proxies):
    by_urllib(proxies, "http")


@pytest.mark.parametrize("way", [by_urllib, by_http_client, in_the_clear])
def test_it(proxy, way, claude_latency):
    way({"https": proxy, "http": proxy})
"""


def test_a_tunnel_through_a_proxy_is_refused(suite: Suite) -> None:
    suite.write(PROXIED)

    result = suite.run()

    result.assert_outcomes(failed=3)
    assert result.stdout.str().count(f"{CONNECTS}\n") == 3
    result.stdout.fnmatch_lines(["*host      api.anthropic.com:443"])


def test_a_loop_of_uvloop_that_was_made_before_the_test_is_refused_too(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
import uvloop

loop = uvloop.new_event_loop()


@pytest.mark.parametrize("host", [HOST, "localhost"])
def test_it(host, claude_latency):
    loop.run_until_complete(by_streams(host))
"""
    )
    before = far.served

    result = suite.run("--latency-clock=real", base_url=far.url)

    result.assert_outcomes(failed=2)
    assert result.stdout.str().count(f"asyncio.streams{CONNECTS}\n") == 2
    assert far.served == before


@pytest.mark.parametrize(
    "host",
    [
        "api.anthropic.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "us-central1-aiplatform.googleapis.com",
        "mine.services.ai.azure.com",
    ],
)
def test_no_name_is_looked_up(suite: Suite, host: str) -> None:
    suite.write(
        f"""
import socket


def test_it(claude_latency):
    socket.getaddrinfo({host.encode()!r}, "https")
"""
    )

    result = suite.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"socket{CONNECTS}", f"  host      {host}:443"])


def test_a_server_of_the_test_itself_is_not_guarded(suite: Suite) -> None:
    suite.write(
        CLIENTS
        + """
def test_it(claude_latency):
    assert b"Hello" in by_urllib()
    assert b"200 OK" in asyncio.run(by_streams("localhost"))
"""
    )

    result = suite.run(base_url=suite.server.url)

    result.assert_outcomes(passed=1)


def test_other_tests_and_other_hosts_are_left_alone(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
def test_ordinary():
    assert by_urllib()


def test_elsewhere(claude_latency, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    assert by_urllib()
"""
    )

    suite.run(base_url=far.url).assert_outcomes(passed=2)


def test_play_is_guarded_too(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
from pytest_claude_latency import play
from tests.support.some_recording import answering, recording


def test_it():
    with play(recording(answering(b'{}'))):
        swallowed()
"""
    )
    before = far.served

    result = suite.run(base_url=far.url)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"urllib.request{CONNECTS}"])
    assert far.served == before


def test_a_thread_that_outlives_its_test_is_refused_too(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
gate, over = threading.Lock(), threading.Event()
gate.acquire()


def stray():
    gate.acquire()
    swallowed()
    over.set()


def test_leaves(claude_latency):
    threading.Thread(target=stray).start()


def test_next():
    gate.release()
    assert over.wait(10)
"""
    )
    before = far.served

    result = suite.run(base_url=far.url)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "warning: " + STRAY,
            "*request   to 127.0.0.1:*, through urllib.request",
        ]
    )
    assert far.served == before


def test_hosts_of_latency_endpoints_are_guarded(suite: Suite, far: FarServer) -> None:
    suite.ini("latency_endpoints =", f"    http://127\\.0\\.0\\.1:{far.port}/", "    !http://127.0.0.1:1/")
    suite.write(CLIENTS.replace('os.environ["ANTHROPIC_BASE_URL"]', f'"{far.url}"') + EACH.removeprefix(CLIENTS))

    result = suite.run("-k", "urllib or localhost")

    result.assert_outcomes(failed=1, deselected=12)
    result.stdout.fnmatch_lines([f"urllib.request{CONNECTS}"])


@pytest.mark.slow
@pytest.mark.parametrize(("fixture", "added"), [("", "no"), ("claude_latency", "some")])
def test_only_a_run_with_latency_tests_adds_an_audit_hook(suite: Suite, fixture: str, added: str) -> None:
    (suite.path / "conftest.py").write_text(
        """
import sys

hooks = []
sys.addaudithook = hooks.append


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line("some hooks" if hooks else "no hooks")
"""
    )
    (suite.path / "test_it.py").write_text(f"def test_it({fixture}):\n    pass\n")

    result = suite.pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"{added} hooks"])
