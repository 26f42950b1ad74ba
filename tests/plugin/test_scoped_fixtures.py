"""Fixtures of wider scope: measured by themselves, with recordings of their own next to the file that defines them."""

from __future__ import annotations

import json

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_messages import text

SCOPES = """
@pytest.fixture(scope="SCOPE")
def answer():
    yield ask("set-up")
    ask("teardown")


class TestIt:
    @pytest.mark.latency_budget(calls=1)
    def test_one(self, answer):
        assert answer == "Hello world"
        stream("body")

    @pytest.mark.latency_budget(calls=0)
    def test_two(self, answer):
        assert answer == "Hello world"
"""


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_a_fixture_has_a_recording_of_its_own(suite: Suite, scope: str) -> None:
    suite.write(SCOPES.replace("SCOPE", scope))
    suite.record().assert_outcomes(passed=2)

    suite.replay("--latency-strict").assert_outcomes(passed=2)

    assert suite.recordings() == [
        f"cassettes/test_it/@{scope}.answer.jsonl",
        "cassettes/test_it/TestIt.test_one.1.jsonl",
    ]
    assert len(suite.server.log) == 3
    assert all(test["setup_calls"] == [] for test in suite.report["tests"])


def test_every_selection_of_tests_can_be_replayed(suite: Suite) -> None:
    suite.write(SCOPES.replace("SCOPE", "module"))
    suite.record()

    suite.replay("-k", "two").assert_outcomes(passed=1, deselected=1)
    suite.replay("-k", "one").assert_outcomes(passed=1, deselected=1)


def test_another_test_may_trigger_the_fixture_first(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture(scope="module")
def answer():
    yield ask("set-up")
    ask("teardown")


def test_first(answer):
    assert answer == "Hello world"


@pytest.mark.latency_budget(calls=1)
def test_second(answer):
    ask("body")


def test_third(answer):
    pass
"""
    )
    suite.record().assert_outcomes(passed=3)

    suite.replay().assert_outcomes(passed=3)

    assert suite.recordings() == ["cassettes/test_it/@module.answer.jsonl", "cassettes/test_it/test_second.1.jsonl"]


def test_a_fixture_that_no_selected_latency_test_requests_is_left_alone(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture(scope="module")
def answer():
    return ask("set-up")


def test_first(answer):
    assert answer == "Hello world"


def test_second(claude_latency):
    pass
"""
    )

    suite.run(key="key", base_url=suite.server.url).assert_outcomes(passed=2)

    assert len(suite.server.log) == 1
    assert suite.recordings() == []


def test_the_recording_is_beside_the_file_of_its_fixture(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(suite.path)
    (suite.path / "conftest.py").write_text(
        "import pytest\nfrom app import ask\n\n\n"
        "@pytest.fixture(scope='session')\ndef answer():\n    return ask('from the conftest')\n"
    )
    (suite.path / "deep").mkdir()
    for name in ("test_it", "deep/test_deep"):
        suite.write("def test_it(claude_latency, answer):\n    pass\n", name=name)

    suite.record().assert_outcomes(passed=2)
    suite.replay("deep").assert_outcomes(passed=1)

    assert suite.recordings() == ["cassettes/conftest/@session.answer.jsonl"]
    assert len(suite.server.log) == 1


def test_parameters_have_recordings_of_their_own(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture(scope="module", params=["short", 3, ("a", "b"), pytest.param("x", id="named")])
def answer(request):
    return ask(f"about {request.param}")


@pytest.fixture(scope="module", params=["y", "z"], ids=["of y", "of z"])
def other(request):
    return ask(f"about {request.param}")


@pytest.fixture(scope="module", params=[1, 2], ids=lambda number: f"number {number}")
def third(request):
    return ask(f"about {request.param}")


def test_it(claude_latency, answer):
    pass


def test_other(claude_latency, other, third):
    pass


@pytest.fixture(scope="module")
def indirect(request):
    return ask(f"about {request.param}")


@pytest.mark.parametrize("indirect", ["left", "right"], indirect=True)
def test_indirect(claude_latency, indirect):
    pass
"""
    )
    suite.record().assert_outcomes(passed=10)

    suite.replay("--latency-strict").assert_outcomes(passed=10)

    folder = "cassettes/test_it/@module."
    names = [name.removeprefix(folder).removesuffix(".jsonl") for name in suite.recordings()]
    assert names == [
        "answer[3]",
        "answer[answer2]",
        "answer[named]",
        "answer[short]",
        "indirect[left]",
        "indirect[right]",
        "other[of y]",
        "other[of z]",
        "third[number 1]",
        "third[number 2]",
    ]


def test_the_recording_of_a_fixture_of_a_class_is_named_after_the_class(suite: Suite) -> None:
    suite.write(
        """
class TestOne:
    @pytest.fixture(scope="class", autouse=True)
    def answer(self):
        ask("one")

    def test_it(self, claude_latency):
        pass


class TestTwo:
    @pytest.fixture(scope="class", autouse=True)
    def answer(self):
        ask("two")

    def test_it(self, claude_latency):
        pass
"""
    )
    suite.record().assert_outcomes(passed=2)

    suite.replay().assert_outcomes(passed=2)

    assert suite.recordings() == [f"cassettes/test_it/@class.Test{name}.answer.jsonl" for name in ("One", "Two")]


NESTED = """
@pytest.fixture(scope="session")
def outer():
    ask("outer set-up")
    yield
    ask("outer teardown")


@pytest.fixture(scope="module")
def inner(outer):
    ask("inner set-up")
    yield
    ask("inner teardown")


@pytest.fixture
def own(inner):
    ask("own set-up")
    yield
    ask("own teardown")


@pytest.mark.latency_budget(calls=1)
def test_it(own):
    ask("body")
"""


def test_fixtures_that_use_each_other_have_separate_recordings(suite: Suite) -> None:
    suite.write(NESTED)
    suite.record().assert_outcomes(passed=1)

    suite.replay("--latency-strict").assert_outcomes(passed=1)

    prompts = {name.rpartition("/")[2]: _prompts(suite, name) for name in suite.recordings()}
    assert prompts == {
        "@session.outer.jsonl": ["outer set-up", "outer teardown"],
        "@module.inner.jsonl": ["inner set-up", "inner teardown"],
        "test_it.1.jsonl": ["own set-up", "body", "own teardown"],
    }


def _prompts(suite: Suite, name: str) -> list[str]:
    lines = [json.loads(line) for line in (suite.path / name).read_text(encoding="utf-8").splitlines()]
    return [line["json"]["messages"][0]["content"] for line in lines if "request" in line]


def test_a_fixture_that_is_requested_during_a_test_takes_none_of_its_time(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture(scope="module")
def answer():
    ask("slow")


@pytest.fixture
def names_it(answer):
    pass


def test_first(claude_latency, names_it):
    pass


@pytest.mark.latency_budget(elapsed="390ms")
def test_it(request):
    stream("one")
    request.getfixturevalue("second")
    stream("two")


@pytest.fixture(scope="module")
def second():
    ask("slow")


def test_that_names_it(claude_latency, second):
    pass
"""
    )
    suite.server.answers(lambda request: text("Hello", ttfb="400ms" if b"slow" in request.content else "1ms"))
    suite.record().assert_outcomes(passed=3)

    suite.replay("--latency-strict").assert_outcomes(passed=3)

    assert suite.test("::test_it")["elapsed"] < 0.4


SERVERS = {
    "http.server": """
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(float(os.environ.get("NAP", "0")))
        answer = ask("x").encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def app():
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
""",
    "uvicorn": """
import asyncio, threading
import uvicorn


async def application(scope, receive, send):
    await asyncio.sleep(float(os.environ["NAP"]))
    answer = (await aask("x")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture(scope="session")
def app():
    server = uvicorn.Server(uvicorn.Config(application, port=0, loop="asyncio", lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield "http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()
""",
}


def test_a_server_of_a_session_serves_the_tests_that_ask_it(suite: Suite) -> None:
    suite.server.answers(lambda request: text("ok"))
    suite.write(
        f"""
import os, urllib.request
{SERVERS["http.server"]}

@pytest.mark.parametrize("number", [1, 2])
def test_it(app, claude_latency, number):
    assert urllib.request.urlopen(app, timeout=20).read() == b"ok"
    assert len(claude_latency.calls) == 1
"""
    )

    for run in (suite.record, suite.replay):
        run().assert_outcomes(passed=2)
    assert len(suite.server.log) == 2


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_of_a_session_sleeps_in_the_time_of_the_test_that_asks_it(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    if server == "uvicorn":
        pytest.importorskip("uvicorn")
    suite.server.answers(lambda request: text("ok", ttfb="10ms"))
    suite.write(
        f"""
import os, time, urllib.request
{SERVERS[server]}

@pytest.mark.parametrize("number", [1, 2])
def test_it(app, claude_latency, number):
    for _ in range(2):
        assert urllib.request.urlopen(app, timeout=100).read() == b"ok"
    assert len(claude_latency.calls) == 2
"""
    )
    monkeypatch.setenv("NAP", "0.01")
    suite.record().assert_outcomes(passed=2)

    monkeypatch.setenv("NAP", "5")
    suite.replay().assert_outcomes(passed=2)

    for number in (1, 2):
        assert 5.01 < suite.test(f"::test_it[{number}]")["elapsed"] < 10  # one nap lies between the two requests
