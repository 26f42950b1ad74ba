"""Interception and a user's own mocks: neither takes requests of the other, in whatever order they start."""

from __future__ import annotations

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_RECORDED
from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite, whole_lines

LIBRARY = HTTPLibrary.of_sdk().name

FIXTURE = f"""
import httpx, respx
import {LIBRARY} as sdk_http


@pytest.fixture(scope="SCOPE", autouse=True)
def mocked():
    with respx.mock(using=USING, assert_all_called=False) as router:
        router.get("https://shop.example/orders").respond(json={{"orders": 3}})
        yield router


def orders(library):
    return library.get("https://shop.example/orders").json()["orders"]
"""

TESTS = """
@pytest.mark.latency_budget(ttft="3s")
def test_both():
    assert stream() == "Hello world"
    assert orders(httpx) == 3


def test_only_theirs():
    assert orders(httpx) == 3
"""


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("using", ["httpcore", "httpx"])
def test_a_users_router_keeps_its_requests_and_gets_none_of_ours(suite: Suite, scope: str, using: str) -> None:
    suite.write(FIXTURE.replace("SCOPE", scope).replace("USING", repr(using)) + TESTS)

    recorded = suite.record()
    replayed = suite.replay()

    recorded.assert_outcomes(passed=2)
    replayed.assert_outcomes(passed=2)
    assert len(suite.calls("test_both")) == 1
    assert len(suite.server.log) == 1


def test_a_router_that_starts_inside_a_latency_test_and_outlives_it_loses_nothing(suite: Suite) -> None:
    suite.write(
        """
import httpx, respx

router = respx.mock(using="httpx", assert_all_called=False)
router.get("https://shop.example/orders").respond(json={"orders": 3})


def test_first(claude_latency):
    router.start()
    stream()
    assert httpx.get("https://shop.example/orders").json() == {"orders": 3}


def test_second(claude_latency):
    stream("again")
    assert httpx.get("https://shop.example/orders").json() == {"orders": 3}
    router.stop()


def test_third(claude_latency):
    stream("once more")
"""
    )

    recorded = suite.record()
    replayed = suite.replay()

    recorded.assert_outcomes(passed=3)
    replayed.assert_outcomes(passed=3)


def test_other_traffic_of_the_application_passes_through(suite: Suite) -> None:
    suite.write(
        f"""
import {LIBRARY} as sdk_http, http.server, threading


@pytest.fixture
def neighbour():
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"neighbour")

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hello)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{{server.server_port}}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it(claude_latency, neighbour):
    stream()
    assert sdk_http.get(neighbour).text == "neighbour"
    assert len(claude_latency.calls) == 1
"""
    )

    recorded = suite.record()
    replayed = suite.replay()

    recorded.assert_outcomes(passed=1)
    replayed.assert_outcomes(passed=1)


def test_a_client_over_a_transport_of_the_programs_own_is_left_alone(suite: Suite) -> None:
    suite.write(
        f"""
import {LIBRARY} as sdk_http


def test_it(claude_latency):
    transport = sdk_http.MockTransport(lambda request: sdk_http.Response(529))
    client = anthropic.Anthropic(api_key="x", http_client=sdk_http.Client(transport=transport), max_retries=0)
    with pytest.raises(anthropic.APIStatusError):
        ask(client=client)
    assert claude_latency.calls == ()
"""
    )

    result = suite.replay()

    result.assert_outcomes(passed=1)


BODY = """
import json

BODY = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "own"}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1}}

def own(*args):
    return sdk_http.Response(200, json=BODY)


class Cache(sdk_http.BaseTransport):
    def handle_request(self, request):
        return own()


def core_own(pool, request):
    return CORE.Response(200, headers={"content-type": "application/json"}, content=json.dumps(BODY).encode())
"""
OWN_ANSWERS = {
    "a stand-in": "client = sdk_http.Client(transport=sdk_http.MockTransport(own))",
    "a transport of the program's own": "client = sdk_http.Client(transport=Cache())",
    "a patched transport": "monkeypatch.setattr(sdk_http.HTTPTransport, 'handle_request', own)",
    "a patched client": "monkeypatch.setattr(sdk_http.Client, '_transport_for_url', lambda *args: Cache())",
    "a patched pool": "monkeypatch.setattr(CORE.ConnectionPool, 'handle_request', core_own)",
}
OWN = """
@pytest.mark.latency_budget(total="3s")
def test_it(monkeypatch, claude_latency):
    client = None
    SETTING
    with anthropic.Anthropic(http_client=client) as claude:
        assert ask(client=claude) == "own"
    assert claude_latency.calls == ()
"""
IMPORTS = f"import {LIBRARY} as sdk_http, {LIBRARY.replace('httpx', 'httpcore')} as CORE\n"


@pytest.mark.parametrize("mode", ["record", "live"])
@pytest.mark.parametrize("setting", OWN_ANSWERS.values(), ids=OWN_ANSWERS)
def test_what_did_not_come_from_the_network_is_neither_recorded_nor_judged(
    suite: Suite, setting: str, mode: str
) -> None:
    suite.write(IMPORTS + BODY + OWN.replace("SETTING", setting))

    result = suite.record(mode=mode)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["warning: test_it.py::test_it: 1 answer came from a mock*"])
    assert not suite.server.log
    assert suite.recordings() == []


def test_a_judged_test_whose_calls_were_answered_elsewhere_made_none(suite: Suite) -> None:
    suite.write(IMPORTS + BODY + OWN.replace("SETTING", OWN_ANSWERS["a patched transport"]))

    result = suite.record("--latency-budget", mode="live")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no prompt call was made, so the budget promises nothing"])


def test_an_answer_from_elsewhere_leaves_the_old_recording_in_place(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    assert ask() == 'Hello world'\n")
    suite.record().assert_outcomes(passed=1)
    (recording,) = suite.recordings()
    before = (suite.path / recording).read_text()
    suite.write(IMPORTS + BODY + OWN.replace("SETTING", OWN_ANSWERS["a patched transport"]))

    suite.record().assert_outcomes(passed=1)

    assert (suite.path / recording).read_text() == before


def test_in_a_replay_recordings_answer_before_a_mock_below(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    assert ask() == 'Hello world'\n")
    suite.record().assert_outcomes(passed=1)
    suite.write(
        IMPORTS
        + BODY
        + """
def test_it(claude_latency, monkeypatch):
    monkeypatch.setattr(sdk_http.HTTPTransport, 'handle_request', own)
    assert ask() == "Hello world"
"""
    )

    suite.replay().assert_outcomes(passed=1)


def test_a_stream_that_another_tool_reads_to_its_end_first_has_no_times(suite: Suite) -> None:
    suite.write(
        IMPORTS
        + """
def test_it(claude_latency, monkeypatch):
    sending = sdk_http.HTTPTransport.handle_request

    def buffering(self, request):
        response = sending(self, request)
        response.read()
        return sdk_http.Response(response.status_code, headers=response.headers, content=response.content)

    monkeypatch.setattr(sdk_http.HTTPTransport, "handle_request", buffering)
    with anthropic.Anthropic() as client:
        assert [ask(client=client), stream(client=client)] == ["Hello world"] * 2
    assert [call.streamed for call in claude_latency.calls] == [False]
"""
    )

    result = suite.record()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["warning: test_it.py::test_it: 1 answer came from a mock*"])


def test_a_users_route_that_covers_a_claude_request_is_asked(suite: Suite) -> None:
    # respx patches only httpx, so the request is written by hand where the SDK uses httpx2.
    suite.write(
        """
import httpx, respx

ASKED = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []}


def test_it(respx_mock, claude_latency):
    route = respx_mock.post("https://api.anthropic.com/v1/messages").respond(json={"own": True})
    assert httpx.post("https://api.anthropic.com/v1/messages", json=ASKED).json() == {"own": True}
    assert route.called
    assert claude_latency.calls == ()
"""
    )

    for mode in ("live", "record"):
        result = suite.record(mode=mode)

        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["warning: test_it.py::test_it: 1 answer came from a mock*"])
    assert suite.recordings() == []


PATCHES = {
    "the client class": "monkeypatch.setattr(sdk_http.Client, '_send_single_request', sent)",
    "the transport": "monkeypatch.setattr(sdk_http.HTTPTransport, 'handle_request', sent)",
    "the connection pool": "monkeypatch.setattr(CORE.ConnectionPool, 'handle_request', sent)",
}


@pytest.mark.parametrize("patched", PATCHES)
def test_nothing_is_sent_in_a_replay_whatever_else_is_patched(suite: Suite, patched: str) -> None:
    suite.write(
        f"""
import {LIBRARY} as sdk_http, {LIBRARY.replace("httpx", "httpcore")} as CORE

packets = []


def sent(*args, **kwargs):
    packets.append(args)
    raise AssertionError("a packet would have left")


@pytest.fixture
def patched(monkeypatch):
    {PATCHES[patched]}


@pytest.mark.usefixtures("patched")
@pytest.mark.latency_budget(ttft="1s")
def test_unrecorded():
    ask()


def test_no_packet_left():
    assert packets == []
"""
    )

    result = suite.replay()

    if patched == "the client class":  # patched after the proof, by the test's own fixture: its call is theirs
        result.assert_outcomes(failed=2)
    else:
        result.assert_outcomes(failed=1, passed=1)
        result.stdout.fnmatch_lines([NOTHING_RECORDED.format(request="POST /v1/messages")])


def test_a_test_whose_interception_was_taken_away_errors_before_anything_is_sent(suite: Suite) -> None:
    suite.write(
        f"""
import {LIBRARY} as sdk_http

original = sdk_http.Client._send_single_request


@pytest.fixture(scope="module", autouse=True)
def taken_away(claude_is_intercepted_first):
    patched = sdk_http.Client._send_single_request
    sdk_http.Client._send_single_request = original
    yield
    sdk_http.Client._send_single_request = patched


@pytest.fixture(scope="module")
def claude_is_intercepted_first():
    return None


def test_before(claude_latency):
    pass


def test_after(claude_latency):
    ask()
"""
    )

    result = suite.replay()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["requests of Claude clients are not intercepted*"])


def test_respxs_own_plugin_is_not_needed(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n")

    suite.record("-p", "no:respx").assert_outcomes(passed=1)
    suite.replay("-p", "no:respx").assert_outcomes(passed=1)


ABOVE = """
import responses  # a file of this name stands for it: this plugin only looks whether it is loaded


@pytest.mark.latency_budget(total="1s")
def test_it():
    pass


@pytest.mark.latency_budget(calls=0)
def test_silent():
    pass
"""


def test_a_mock_above_the_http_library_is_named_where_no_call_was_seen(suite: Suite) -> None:
    suite.pytester.makepyfile(responses="")
    suite.write(ABOVE)

    for mode in ("record", "live"):
        result = suite.record(mode=mode)

        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(
            ["warning: test_it.py::test_it: no call was seen*", "*responses is loaded, and what*"]
        )
        result.stdout.no_fnmatch_line("*test_silent: no call was seen*")
    result = suite.replay()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["  mocks     responses is loaded: what a mock above the HTTP library answers*"])


ASKED = "def test_it(claude_latency):\n    ask()\n    ask('two')\n"
TAKEN = "import responses\n\n\ndef test_it(claude_latency):\n    pass\n"
PARTLY_TAKEN = "import responses\n\n\ndef test_it(claude_latency):\n    ask()\n"
OF_A_FIXTURE = """

@pytest.fixture(scope="module")
def asked():
    BODY


def test_it(asked, claude_latency):
    pass
"""


def test_no_recording_is_replaced_by_nothing_where_a_mock_above_may_have_answered(suite: Suite) -> None:
    suite.pytester.makepyfile(responses="")
    suite.write(ASKED)
    suite.record().assert_outcomes(passed=1)
    (recording,) = suite.recordings()
    before = (suite.path / recording).read_text()
    suite.write(TAKEN)

    result = suite.record()

    result.assert_outcomes(passed=1)
    whole_lines(result).fnmatch_lines(
        ["not written: test_it.py::test_it: no call was seen, and responses is loaded*the previous recording stays*"]
    )
    assert (suite.path / recording).read_text() == before


def test_a_recording_of_fewer_calls_names_the_mocks_that_may_have_answered_the_others(suite: Suite) -> None:
    suite.pytester.makepyfile(responses="")
    suite.write(ASKED)
    suite.record().assert_outcomes(passed=1)
    suite.write(PARTLY_TAKEN)

    result = suite.record()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["warning: test_it.py::test_it: its recording has 1 call now, and had 2 before;", "  responses is loaded, and*"]
    )


def test_the_recording_of_a_wider_fixture_is_kept_in_the_same_way(suite: Suite) -> None:
    suite.pytester.makepyfile(responses="")
    suite.write(OF_A_FIXTURE.replace("BODY", "ask()"))
    suite.record().assert_outcomes(passed=1)
    (recording,) = suite.recordings()
    suite.write("import responses\n" + OF_A_FIXTURE.replace("BODY", "pass"))

    kept = suite.record()

    kept.stdout.fnmatch_lines(
        ["warning: test_it.py::@module.asked: not written: no call was seen, and", "  responses is loaded, which may*"]
    )
    assert suite.recordings() == [recording]
    suite.write(OF_A_FIXTURE.replace("BODY", "pass"))
    (suite.path / "responses.py").unlink()

    removed = suite.record("-p", "no:cacheprovider")

    removed.stdout.fnmatch_lines(
        [
            "warning: test_it.py::@module.asked: no call was made, so its previous*",
            "  * removed: cassettes/test_it/@*",
        ]
    )
    assert suite.recordings() == []


SOCKETS = """
import io, json, requests, urllib3.util.connection

OWN = json.dumps({"own": True}).encode()
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(OWN)


class Socket:  # as httpretty and mocket put in the place of the real ones
    def makefile(self, *args, **kwargs):
        return MADE(io.BytesIO(HEAD + OWN))

    def __getattr__(self, name):
        return lambda *args: None


@pytest.mark.latency_budget(total="5s")
def test_it(claude_latency, monkeypatch):
    monkeypatch.setattr(urllib3.util.connection, "create_connection", lambda *args, **kwargs: Socket())
    asked = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages("hi")}
    for _ in range(2):
        answer = requests.post("http://gateway.example/v1/messages", json=asked)
        assert answer.json() == {"own": True}
    assert claude_latency.calls == ()
"""


@pytest.mark.parametrize("made", ["io.BufferedReader", "lambda file: file"], ids=["buffered", "plain"])
def test_a_mock_of_sockets_is_not_taken_for_the_network(suite: Suite, made: str) -> None:
    suite.write(SOCKETS.replace("MADE", f"({made})"))

    for mode in ("record", "live"):
        result = suite.record(mode=mode)

        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["warning: test_it.py::test_it: 2 answers came from a mock*"])
    assert suite.recordings() == []
