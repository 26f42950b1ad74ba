"""What connects in C code, through a SOCKS proxy, or connected before the test: refused, or noticed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from pytest_claude_latency.http.guard import listening, seen_sockets, short_connections
from pytest_claude_latency.http.guard.connection import ALL_UNMEASURED
from pytest_claude_latency.virtual_time.watch import thread_state
from tests.plugin.suite import Suite, whole_lines
from tests.plugin.test_guard import CLIENTS, CONNECTS
from tests.support.far_server import FarServer, far_server

SENT_UNSEEN = "code in C used a connection to a Claude API, which a replay cannot hold back"


@pytest.fixture(scope="module")
def far() -> Iterator[FarServer]:
    with far_server() as server:
        yield server


OLDER = (
    CLIENTS
    + """
sock = socket.create_connection((HOST, PORT))


def by_sendall():
    sock.sendall(RAW)


def by_send():
    sock.send(RAW)


def by_sendmsg():
    sock.sendmsg([RAW[:40], RAW[40:]])


def by_makefile():
    with sock.makefile("wb") as file:
        file.write(RAW)


async def by_loop():
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_sendall(sock, RAW)
    finally:
        sock.setblocking(True)


WAYS = {
    "sendall": by_sendall,
    "send": by_send,
    "sendmsg": by_sendmsg,
    "makefile": by_makefile,
    "loop": lambda: asyncio.run(by_loop()),
    "by its file": lambda: os.write(sock.fileno(), RAW),
}


@pytest.mark.parametrize("way", WAYS)
def test_it(way, claude_latency):
    WAYS[way]()
"""
)


def test_what_is_sent_on_an_older_connection_is_refused_or_noticed(suite: Suite, far: FarServer) -> None:
    suite.write(OLDER)
    before = far.served

    refused = suite.run("-k", "not its", base_url=far.url)

    refused.assert_outcomes(failed=5, deselected=1)
    assert whole_lines(refused).str().count(f"{CONNECTS}\n") == 5
    assert far.served == before
    noticed = suite.run("-k", "its", base_url=far.url)

    noticed.assert_outcomes(failed=1, deselected=5)
    noticed.stdout.fnmatch_lines([SENT_UNSEEN, f"  host      127.0.0.1:{far.port}", "  opened    before the test"])


def test_an_older_connection_that_is_only_closed_is_no_call(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
kept = [socket.create_connection((HOST, PORT)) for _ in range(3)]


def test_it(claude_latency):
    kept[0].close()
    kept[1].sendall(b"bye")
    kept[2].shutdown(socket.SHUT_WR)
"""
    )

    suite.run(base_url=far.url).assert_outcomes(passed=1)


def test_other_runs_warn_of_what_is_sent_on_an_older_connection(suite: Suite, far: FarServer) -> None:
    suite.write(OLDER)

    result = suite.run("--latency-mode=live", "-k", "sendall", base_url=far.url)

    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines([ALL_UNMEASURED.format(library="socket")])


def test_connections_of_doors_are_no_business_of_the_guards(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
import aiohttp, requests

loop = asyncio.new_event_loop()
kept = requests.Session()
OTHER = {"model": "gpt", "messages": [], "padding": "x" * 200}


async def session():
    return aiohttp.ClientSession()


async def post(session):
    async with session.post(f"{URL}/v1/chat/completions", json=OTHER) as answer:
        await answer.read()


def test_before():
    global opened
    opened = loop.run_until_complete(session())
    loop.run_until_complete(post(opened))
    kept.post(f"{URL}/v1/chat/completions", json=OTHER)


def test_it(claude_latency):
    loop.run_until_complete(post(opened))
    kept.post(f"{URL}/v1/chat/completions", json=OTHER)
    loop.run_until_complete(opened.close())
    requests.Session().post(f"{URL}/v1/chat/completions", json=OTHER)
"""
    )

    for mode in ("replay", "live"):
        result = suite.run(f"--latency-mode={mode}", base_url=far.url)

        result.assert_outcomes(passed=2)
        result.stdout.no_fnmatch_line("*past this plugin*")


@pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")
def test_a_connection_of_uvloop_that_is_older_than_the_test_is_noticed(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
import uvloop

loop = uvloop.new_event_loop()
reader, writer = loop.run_until_complete(asyncio.open_connection(HOST, PORT))


async def send():
    writer.write(RAW)
    return await reader.read(1000)


def test_it(claude_latency):
    loop.run_until_complete(send())
"""
    )

    result = suite.run("--latency-clock=real", base_url=far.url)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([SENT_UNSEEN, "  opened    before the test"])


def test_a_connection_that_nobody_met_is_noticed_while_it_is_open(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
import ctypes, struct

libc = ctypes.CDLL(None)


def test_it(claude_latency):
    sock = socket.socket()
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", PORT) + socket.inet_aton(HOST) + bytes(8)
    assert libc.connect(sock.fileno(), address, len(address)) == 0
    kept.append(sock)


kept = []
"""
    )

    result = suite.run(base_url=far.url)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([SENT_UNSEEN, "  opened    in the test"])


CONNECTING = (
    CLIENTS
    + """
import ctypes, requests, struct

libc = ctypes.CDLL(None)


def connected():
    file = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", PORT) + socket.inet_aton(HOST) + bytes(8)
    assert libc.connect(file, address, len(address)) == 0
    return file


def wait_until_shut_down(file):
    for _ in range(400):
        if libc.recv(file, bytes(1), 1, 0x42) == 0:  # only looks, and does not wait
            return
        libc.usleep(50_000)


def let_pass():
    requests.post(f"{URL}/v1/chat/completions", json={"model": "gpt", "messages": []})
"""
)


def test_a_request_that_a_door_let_pass_hides_no_other_connection(suite: Suite, far: FarServer) -> None:
    suite.write(
        CONNECTING
        + """
def test_opened(claude_latency):
    let_pass()
    connected()
    let_pass()


older = connected()


def test_older(claude_latency):
    let_pass()
    os.write(older, RAW)
    let_pass()
"""
    )

    result = suite.run(base_url=far.url)

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines([SENT_UNSEEN, "  opened    in the test", SENT_UNSEEN, "  opened    before the test"])


SHORT = (
    CONNECTING
    + """
def test_it(claude_latency):
    file = connected()
    libc.usleep(300_000)  # as a call that waits for its answer
    sent = libc.send(file, RAW, len(RAW), 0x4000)
    os.close(file)
    with open("sent.txt", "w") as noted:
        print(sent == len(RAW), file=noted, end="")
"""
)


@pytest.fixture(params=["with /proc", "without /proc"])
def _seen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test run twice, once as on a system that shows no connections and does not number sockets."""
    if request.param == "without /proc":
        monkeypatch.setattr(short_connections, "_TABLES", ())
        monkeypatch.setattr(seen_sockets, "inode", lambda file: 0)
        monkeypatch.setattr(thread_state, "_CALLS", {})


@pytest.mark.usefixtures("_seen")
@pytest.mark.parametrize("pace", ["virtual", "real"])
def test_a_connection_that_code_in_c_opens_and_closes_is_shut_down_while_it_is_open(
    suite: Suite, far: FarServer, pace: str
) -> None:
    suite.write(SHORT)

    result = suite.run(f"--latency-clock={pace}", base_url=far.url)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([SENT_UNSEEN, "  opened    in the test"])
    assert (suite.path / "sent.txt").read_text() == "False"


@pytest.mark.usefixtures("_seen")
def test_other_runs_tell_of_such_a_connection(suite: Suite, far: FarServer) -> None:
    suite.write(SHORT)

    for mode in ("live", "record"):
        result = suite.run(f"--latency-mode={mode}", base_url=far.url)

        result.assert_outcomes(failed=1)
        whole_lines(result).fnmatch_lines(
            ["no call of this test was measured, but it talked to a Claude API through code in C"]
        )
        assert (suite.path / "sent.txt").read_text() == "True"


def test_where_no_connection_of_code_in_c_is_seen_a_run_says_so_once(
    suite: Suite, far: FarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, blind in [
        (listening, "_open_files", list),  # Windows: its sockets are no files
        (short_connections, "_TABLES", ()),
        (seen_sockets, "inode", lambda file: 0),
        (thread_state, "_CALLS", {}),
    ]:
        monkeypatch.setattr(module, name, blind)
    suite.write(SHORT + "\n\ndef test_again(claude_latency):\n    pass\n")

    for mode in ("replay", "live"):
        result = suite.run(f"--latency-mode={mode}", base_url=far.url)

        result.assert_outcomes(passed=2)
        (told,) = [line for line in result.outlines if "measured no call" in line]
        assert told == "warning: test_it.py::test_it measured no call, and this system shows no"


def test_a_test_with_calls_is_told_nothing_of_code_in_c(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write("def test_it(claude_latency):\n    ask()\n")
    suite.record().assert_outcomes(passed=1)
    monkeypatch.setattr(listening, "_open_files", list)

    result = suite.replay()

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*code in C*")


@pytest.mark.usefixtures("_seen")
def test_code_in_c_may_have_the_file_of_a_connection_that_python_closed(suite: Suite, far: FarServer) -> None:
    suite.write(
        CONNECTING
        + """
server = socket.create_server((HOST, 0))


def test_it(claude_latency):
    with socket.create_connection(server.getsockname()) as opened:
        file = opened.fileno()
        libc.usleep(50_000)
    assert connected() == file
    wait_until_shut_down(file)
    os.close(file)
"""
    )

    result = suite.run(base_url=far.url)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([SENT_UNSEEN, "  opened    in the test"])


@pytest.mark.usefixtures("_seen")
def test_a_connection_that_python_opened_is_not_shut_down(suite: Suite, far: FarServer) -> None:
    suite.write(
        CONNECTING
        + """
def test_it(claude_latency):
    with requests.Session() as session:
        for _ in range(3):
            session.post(f"{URL}/v1/chat/completions", json={"model": "gpt", "messages": []})
            libc.usleep(50_000)
"""
    )

    result = suite.run(base_url=far.url)

    result.assert_outcomes(passed=1)


def test_a_test_without_a_call_whose_requests_were_let_pass_does_not_pass_in_silence(
    suite: Suite, far: FarServer
) -> None:
    suite.write(
        CONNECTING
        + """
def test_it(claude_latency):
    let_pass()


def test_beside_a_call(claude_latency):
    let_pass()
    ask()
"""
    )

    for mode in ("record", "live", "replay"):
        result = suite.run(f"--latency-mode={mode}", key="key", base_url=far.url)

        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["warning: test_it.py::test_it: no call was measured, but 1 request went to*"])
        result.stdout.no_fnmatch_line("*test_beside_a_call: no call was measured*")


def test_a_miss_is_no_request_that_was_let_pass(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
import aiohttp, httpx, requests

ASKED = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []}


async def by_aiohttp():
    async with aiohttp.ClientSession() as session, session.post(f"{URL}/v1/messages", json=ASKED):
        pass


WAYS = {
    "aiohttp": lambda: asyncio.run(by_aiohttp()),
    "httpx": lambda: httpx.post(f"{URL}/v1/messages", json=ASKED),
    "requests": lambda: requests.post(f"{URL}/v1/messages", json=ASKED),
}


@pytest.mark.parametrize("way", WAYS)
def test_it(way, claude_latency):
    WAYS[way]()
"""
    )

    result = suite.run(base_url=far.url)

    result.assert_outcomes(failed=3)
    result.stdout.no_fnmatch_line("*no call was measured*")


def test_each_door_tells_of_what_it_let_pass(suite: Suite, far: FarServer) -> None:
    suite.write(
        CLIENTS
        + """
import aiohttp, httpx, requests

OTHER = {"model": "gpt", "messages": []}


async def by_aiohttp():
    async with aiohttp.ClientSession() as session, session.post(f"{URL}/v1/chat/completions", json=OTHER):
        pass


def test_it(claude_latency):
    asyncio.run(by_aiohttp())
    httpx.post(f"{URL}/v1/chat/completions", json=OTHER)
    requests.post(f"{URL}/v1/chat/completions", json=OTHER)
"""
    )

    result = suite.run(base_url=far.url)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["warning: test_it.py::test_it: no call was measured, but 3 requests went to*"])


IN_C = {
    "pycurl": """
from pycurl import Curl, POSTFIELDS, URL as ADDRESS, WRITEFUNCTION, HTTPHEADER


def by_library(url):
    curl = Curl()
    curl.setopt(ADDRESS, url + "/v1/messages")
    curl.setopt(POSTFIELDS, BODY)
    curl.setopt(WRITEFUNCTION, lambda data: None)
    curl.perform()
    curl.close()
""",
    "curl_cffi": """
from curl_cffi import requests


def by_library(url):
    requests.post(url + "/v1/messages", data=BODY)
""",
    "grpc": """
import grpc

channels = {}


def by_library(url):
    target = urlsplit(url).netloc
    channel = channels.get(target) or grpc.insecure_channel(target)
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/claude/Ask")(BODY, timeout=0.3)


channels[urlsplit(URL).netloc] = grpc.insecure_channel(urlsplit(URL).netloc)
""",
    "grpc.aio": """
import grpc, grpc.aio


async def called(url):
    async with grpc.aio.insecure_channel(urlsplit(url).netloc) as channel:
        calls = [
            channel.unary_unary("/claude/Ask"), channel.unary_stream("/claude/Ask"),
            channel.stream_unary("/claude/Ask"), channel.stream_stream("/claude/Ask"),
        ]
        for call in calls:
            with pytest.raises(pytest.fail.Exception):
                call(BODY if call in calls[:2] else iter([BODY]), timeout=0.3)


def by_library(url):
    asyncio.run(called(url))
""",
    "socks": """
import socks


def by_library(url):
    with socks.socksocket() as connection:
        connection.set_proxy(socks.SOCKS5, "127.0.0.1", PROXY)
        connection.connect((urlsplit(url).hostname, urlsplit(url).port or 80))
        connection.sendall(RAW)
""",
    "python_socks": """
from python_socks.sync import Proxy


def by_library(url):
    proxy = Proxy.from_url(f"socks5://127.0.0.1:{PROXY}")
    proxy.connect(dest_host=urlsplit(url).hostname, dest_port=urlsplit(url).port or 80, timeout=1)
""",
}


@pytest.mark.parametrize("library", IN_C)
def test_a_library_that_no_event_tells_of_is_refused_at_its_own_function(
    suite: Suite, far: FarServer, library: str
) -> None:
    pytest.importorskip(library)
    suite.write(
        CLIENTS
        + """
server = socket.create_server(("127.0.0.1", 0))
PROXY = server.getsockname()[1]
"""
        + IN_C[library]
        + """
def test_known_by_the_environment(claude_latency):
    by_library(URL)


def test_a_vendors_own(claude_latency):
    by_library("http://api.anthropic.com")
"""
    )
    before = far.served

    result = suite.run(base_url=far.url)

    result.assert_outcomes(failed=2)
    assert result.stdout.str().count(f"{library.partition('.')[0]}{CONNECTS}\n") == 2
    result.stdout.fnmatch_lines(["*program   test_it.py:* in *", "*host      api.anthropic.com*"])
    assert far.served == before
