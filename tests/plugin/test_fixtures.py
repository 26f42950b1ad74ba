"""The fixtures: a test's own measurements, and clients that are closed after it."""

from __future__ import annotations

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_messages import Usage, text


def test_a_test_sees_its_own_measurements(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    assert claude_latency.calls == ()
    assert claude_latency.elapsed is None
    stream("one")
    time.sleep(0.1)
    ask("two")
    first, second = claude_latency.calls
    assert (first.model, first.streamed, first.status, first.attempts) == ("claude-haiku-4-5", True, 200, 1)
    assert (second.streamed, second.stop_reason, second.error, second.closed) == (False, "end_turn", None, None)
    assert (first.input_tokens, first.output_tokens, first.prompt_tokens) == (10, 20, 15)
    assert 0 < first.ttfb <= first.ttft <= first.total
    assert second.ttft == second.ttfa == second.total
    assert second.sent >= first.sent + first.total + 0.1
    assert claude_latency.elapsed == pytest.approx(second.sent + second.total - first.sent, abs=0.01)
    assert claude_latency.setup_calls == ()
"""
    )
    usage = Usage(input_tokens=10, output_tokens=20, cache_read=5)
    suite.server.answers(lambda request: text("Hello wor|ld", ttfb="5ms", gaps=["2ms", "3ms"], usage=usage))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def test_calls_of_fixtures_are_listed_apart_and_not_judged(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture
def asked(claude_latency):
    ask("set-up")
    assert len(claude_latency.setup_calls) == 1
    yield
    ask("teardown")
    save_result([len(claude_latency.calls), len(claude_latency.setup_calls)])


@pytest.mark.latency_budget(calls=1, ttft="30ms")
def test_it(asked, claude_latency):
    stream("body")
    assert len(claude_latency.setup_calls) == 1
    assert len(claude_latency.calls) == 1
"""
    )
    suite.server.answers(lambda request: text("Hello", ttfb="1ms" if b"body" in request.content else "60ms"))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    test = suite.test("test_it")
    assert (len(test["calls"]), len(test["setup_calls"])) == (1, 2)
    assert suite.saved_result[0] == 1
    assert suite.recordings() == ["cassettes/test_it/test_it.1.jsonl"]


CLIENTS = """
opened = []


@pytest.fixture(autouse=True, scope="module")
def closed_in_the_end():
    yield
    save_result([client.is_closed() for client in opened])
"""


def test_the_client_is_closed_after_the_test(suite: Suite) -> None:
    suite.write(
        CLIENTS
        + """

def test_it(claude_client):
    opened.append(claude_client)
    assert isinstance(claude_client, anthropic.Anthropic)
    ask(client=claude_client)
    assert not claude_client.is_closed()


def test_that_fails(claude_client):
    opened.append(claude_client)
    assert ask(client=claude_client) == ""
"""
    )
    suite.record()

    suite.replay().assert_outcomes(passed=1, failed=1)

    assert suite.saved_result == [True, True]


ASYNC_TESTS = {
    "pytest-asyncio": """
@pytest.mark.asyncio
async def test_it(async_claude_client):
    opened.append(async_claude_client)
    await astream(client=async_claude_client)
""",
    "pytest-asyncio, session loop": """
@pytest.mark.asyncio(loop_scope="session")
async def test_it(async_claude_client):
    opened.append(async_claude_client)
    await astream(client=async_claude_client)
""",
    "anyio": """
@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_it(async_claude_client):
    opened.append(async_claude_client)
    await astream(client=async_claude_client)
""",
    "a class": """
class TestIt:
    @pytest.mark.asyncio
    async def test_it(self, async_claude_client):
        opened.append(async_claude_client)
        await astream(client=async_claude_client)
""",
    "parametrized": """
@pytest.mark.asyncio
@pytest.mark.parametrize("word", ["a"])
async def test_it(word, async_claude_client):
    opened.append(async_claude_client)
    await astream(word, client=async_claude_client)
""",
    "in a fixture": """
import pytest_asyncio


@pytest_asyncio.fixture
async def answer(async_claude_client):
    opened.append(async_claude_client)
    yield await astream(client=async_claude_client)
    await astream("at last", client=async_claude_client)


@pytest.mark.asyncio
async def test_it(answer):
    assert answer == "Hello world"
""",
}


BY_HAND = {
    "asyncio.run": """
def test_it(async_claude_client):
    opened.append(async_claude_client)
    asyncio.run(astream(client=async_claude_client))
""",
    "a loop by hand": """
def test_it(async_claude_client):
    opened.append(async_claude_client)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(astream(client=async_claude_client))
    loop.close()
""",
    "no call": """
def test_it(async_claude_client):
    opened.append(async_claude_client)
""",
}


@pytest.mark.parametrize("how", ASYNC_TESTS)
def test_the_async_client_is_closed_on_the_loop_of_its_test(suite: Suite, how: str) -> None:
    suite.write(CLIENTS + ASYNC_TESTS[how])

    for run in (suite.record, suite.replay):
        run("-W", "error").assert_outcomes(passed=1)
        assert suite.saved_result == [True]


@pytest.mark.parametrize("how", BY_HAND)
def test_the_async_client_is_closed_where_a_test_runs_a_loop_by_hand(suite: Suite, how: str) -> None:
    suite.write(CLIENTS + BY_HAND[how])
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == [True]


def test_a_fixture_that_is_requested_too_late_says_how_to_request_it(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.parametrize("name", ["claude_latency", "claude_client", "async_claude_client"])
def test_it(request, name):
    request.getfixturevalue(name)


def test_in_time(request, claude_latency):
    request.getfixturevalue("claude_client")
"""
    )

    result = suite.replay()

    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["claude_latency makes its test a latency test, which must be known before*"])


def test_clients_need_no_key_and_no_server_in_a_replay(suite: Suite) -> None:
    suite.write(
        """
def test_sync(claude_client):
    with pytest.raises(BaseException, match="nothing is recorded"):
        ask(client=claude_client)


def test_async(async_claude_client):
    with pytest.raises(BaseException, match="nothing is recorded"):
        asyncio.run(aask(client=async_claude_client))
"""
    )

    suite.replay().assert_outcomes(failed=2)


def test_the_fixtures_are_listed_with_what_they_are(suite: Suite) -> None:
    result = suite.pytester.runpytest("--fixtures")

    result.stdout.fnmatch_lines(
        [
            "claude_latency -- *",
            "*own measurements*",
            "claude_client -- *",
            "*closed after the test*",
            "async_claude_client -- *",
            "*closed on the test's own loop*",
        ]
    )


FUNCTION_FIXTURES = """
import pytest_asyncio


@pytest.fixture
def by_sync():
    ask("sync set-up")
    yield
    ask("sync teardown")


@pytest_asyncio.fixture
async def by_async():
    await aask("async set-up")
    yield
    await aask("async teardown")


@pytest.fixture
def by_run():
    asyncio.run(aask("run"))


@pytest.mark.latency_budget(calls=1)
def test_sync(by_sync, by_run):
    ask("body")


@pytest.mark.asyncio
@pytest.mark.latency_budget(calls=1)
async def test_async(by_sync, by_async):
    await aask("body")
"""


def test_function_fixtures_of_every_kind_belong_to_the_test(suite: Suite) -> None:
    suite.write(FUNCTION_FIXTURES)
    suite.record().assert_outcomes(passed=2)

    suite.replay("--latency-strict").assert_outcomes(passed=2)

    assert len(suite.test("test_sync")["setup_calls"]) == 3
    assert len(suite.test("test_async")["setup_calls"]) == 4
    assert len(suite.recordings()) == 2
