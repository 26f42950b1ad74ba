"""Async tests on asyncio, with each plugin or loop that can run them."""

from __future__ import annotations

import pytest

from pytest_claude_latency.run.messages import ANOTHER_LOOP
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

BODY = """
    assert await asyncio.gather(aask("one"), astream("two"), asyncio.sleep(1, "slept")) == [
        "Hello world", "Hello world", "slept"]
    assert len(claude_latency.calls) == 2
"""

WAYS = {
    "pytest-asyncio": f"""
@pytest.mark.asyncio
async def test_it(claude_latency):{BODY}
""",
    "pytest-asyncio, session loop": f"""
@pytest.mark.asyncio(loop_scope="session")
async def test_it(claude_latency):{BODY}
""",
    "anyio's plugin": f"""
@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_it(claude_latency):{BODY}
""",
    "asyncio.run": f"""
def test_it(claude_latency):
    asyncio.run(run(claude_latency))


async def run(claude_latency):{BODY}
""",
    "a runner": f"""
def test_it(claude_latency):
    with asyncio.Runner() as runner:
        runner.run(run(claude_latency))


async def run(claude_latency):{BODY}
""",
    "IsolatedAsyncioTestCase": f"""
class TestIt(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def _latency(self, claude_latency):
        self.latency = claude_latency

    async def test_it(self):
        await run(self.latency)


async def run(claude_latency):{BODY}
""",
}


@pytest.mark.parametrize("source", WAYS.values(), ids=WAYS)
def test_an_async_test_records_and_replays(suite: Suite, source: str) -> None:
    suite.write(source)
    suite.server.answers(lambda request: text("Hello wor|ld", gaps=["30ms", "30ms"]))

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    first, second = sorted(suite.calls("test_it"), key=lambda call: call["streamed"])
    assert first["total"] >= 0.06
    assert 0.03 <= second["ttft"] < second["total"]
    assert abs(first["sent"] - second["sent"]) < first["total"]  # they overlap


SHARED_LOOP = """
import os

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.latency_budget(total="9s")]
LONG = 0 if "ANTHROPIC_BASE_URL" in os.environ else 500  # seconds, which cost no real time in a replay


@pytest.fixture(scope="session")
def client():
    return anthropic.AsyncAnthropic()


async def test_first(client, claude_latency):
    await asyncio.gather(astream("one", client=client), asyncio.sleep(LONG))
    assert claude_latency.elapsed < 100


@pytest.mark.parametrize("pause", [0, LONG], ids=["none", "long"])
async def test_second(client, pause, claude_latency):
    loop = asyncio.get_running_loop()
    earliest, began, latest = time.monotonic(), loop.time(), time.monotonic()
    await aask("two", client=client)
    await asyncio.sleep(pause)
    await aask("three", client=client)
    # a busy machine may take its time between two readings
    least, took, most = time.monotonic() - latest, loop.time() - began, time.monotonic() - earliest
    assert least - 1e-3 <= took <= most + 1e-3
    assert claude_latency.elapsed >= pause
"""


def test_a_session_loop_and_its_client_serve_test_after_test(suite: Suite) -> None:
    suite.write(SHARED_LOOP)

    suite.record().assert_outcomes(passed=3)
    replayed = suite.replay()

    replayed.assert_outcomes(passed=3)
    assert replayed.duration < 60


def test_async_fixtures_set_up_and_tear_down_on_the_tests_loop(suite: Suite) -> None:
    suite.write(
        """
import pytest_asyncio


@pytest_asyncio.fixture
async def prepared():
    yield await aask("before")
    await aask("after")


@pytest.mark.asyncio
@pytest.mark.latency_budget(calls=1)
async def test_it(prepared, claude_latency):
    await astream("during")
    assert len(claude_latency.setup_calls) == 1
    assert len(claude_latency.calls) == 1


class TestCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.prepared = await aask("before")

    async def asyncTearDown(self):
        await aask("after")

    @pytest.mark.latency_budget(calls=1)
    async def test_case(self):
        await astream("during")
"""
    )

    suite.record("--latency-budget").assert_outcomes(passed=2)
    suite.replay().assert_outcomes(passed=2)

    for name in ("test_it", "test_case"):
        assert len(suite.calls(name)) == 1
        assert len(suite.test(name)["setup_calls"]) == 2


@pytest.mark.parametrize("mark", ["asyncio", "asyncio(loop_scope='session')", "anyio"])
def test_the_async_client_is_closed_on_the_tests_own_loop(suite: Suite, mark: str) -> None:
    suite.write(
        f"""
@pytest.fixture
def anyio_backend():
    return "asyncio"


closed_on = []


@pytest.mark.{mark}
async def test_it(async_claude_client, claude_latency):
    close, loop = async_claude_client._client.aclose, asyncio.get_running_loop()

    async def closing():
        closed_on.append(asyncio.get_running_loop() is loop)
        await close()

    async_claude_client._client.aclose = closing
    assert await astream(client=async_claude_client) == "Hello world"


def test_closed():
    assert closed_on == [True]
"""
    )

    suite.record().assert_outcomes(passed=2)
    suite.replay().assert_outcomes(passed=2)


def test_a_warning_names_a_client_that_is_used_on_another_loop_while_recording(suite: Suite) -> None:
    suite.write(
        """
client = anthropic.AsyncAnthropic()


@pytest.mark.asyncio
@pytest.mark.parametrize("prompt", ["one", "two"])
async def test_it(prompt, claude_latency):
    assert await astream(prompt, client=client) == "Hello world"
"""
    )

    recorded = suite.record()
    replayed = suite.replay()

    recorded.assert_outcomes(passed=2)
    replayed.assert_outcomes(passed=2)
    warning = f"warning: *test_it.py::test_it[[]two]: {ANOTHER_LOOP[:40]}*"
    recorded.stdout.fnmatch_lines([warning])
    replayed.stdout.no_fnmatch_line("*another event*")
    assert [test["calls"][0]["attempts"] for test in suite.report["tests"]] == [1, 2]
