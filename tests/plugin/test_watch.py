"""What an application hands its user: an endpoint that buffers on the way out fails, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.plugin.suite import Suite
from tests.plugin.test_whole_test_limits import STREAMED
from tests.support.some_recording import recording

APP = """
def pieces(prompt="hi"):
    with anthropic.Anthropic() as client:
        with client.messages.stream(messages=messages(prompt), model="claude-haiku-4-5", max_tokens=100) as answer:
            yield from answer.text_stream


def whole(prompt="hi"):
    yield "".join(pieces(prompt))


async def apieces(prompt="hi"):
    async with anthropic.AsyncAnthropic() as client:
        asked = {"messages": messages(prompt), "model": "claude-haiku-4-5", "max_tokens": 100}
        async with client.messages.stream(**asked) as answer:
            async for text in answer.text_stream:
                yield text


def application(buffers):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        held = []
        async for text in apieces():
            held.append(text)
            if not buffers:
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": "".join(held).encode() if buffers else b""})

    return app


async def ask_it(app):
    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        pass

    await app({"type": "http", "path": "/"}, receive, send)
"""


def watching(suite: Suite, body: str) -> Suite:
    """A suite with one test of this body, whose call is recorded: text at 400 and 900 ms."""
    suite.write(APP + "\n\n" + body)
    path = suite.path / "cassettes" / "test_it" / "test_it.1.jsonl"
    replace(recording(STREAMED), test="test_it.py::test_it").save(path)
    return suite


SYNC = 'def test_it(claude_latency):\n    for text in claude_latency.watch({0}(), ttft="500ms"):\n        pass\n'


def test_an_output_that_streams_keeps_its_limits_and_is_reported(suite: Suite) -> None:
    result = watching(suite, SYNC.format("pieces")).run("--latency-budget")

    result.assert_outcomes(passed=1)
    assert suite.report["tests"][0]["watched"] == [
        {
            "items": 2,
            "ttft": pytest.approx(0.4),
            "longest_gap": pytest.approx(0.5),
            "total": pytest.approx(0.9),
            "start": 0.0,
            "budgets": [
                {
                    "metric": "ttft",
                    "statistic": None,
                    "limit": 0.5,
                    "measured": pytest.approx(0.4),
                    "call": None,
                    "verdict": "kept",
                    "origin": "claude_latency.watch(...) at test_it.py:48",
                    "reason": None,
                }
            ],
        }
    ]


def test_an_endpoint_that_buffers_on_the_way_out_fails(suite: Suite) -> None:
    result = watching(suite, SYNC.format("whole")).run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*watched output: ttft was 900ms, 400ms over the budget of 500ms",
            "*budget    ttft<500ms*",
            "* claude_latency.watch(...) at test_it.py:*",
            "*measured  1 item that a user sees",
            "*timeline  start 0ms · first text 900ms · end 900ms",
            "*held back for 500ms by the application: the first text came after",
            "*          to test_it.py:8 in pieces",
            "*do        hand each piece on when it comes, on the whole way out",
        ]
    )
    result.stdout.no_fnmatch_line("*StopIteration*")


@pytest.mark.parametrize(("buffers", "outcome"), [(False, "passed"), (True, "failed")])
def test_an_asgi_application_is_measured_where_it_sends(suite: Suite, buffers: bool, outcome: str) -> None:
    body = f"""
@pytest.mark.asyncio
async def test_it(claude_latency):
    await ask_it(claude_latency.watch(application({buffers}), ttft="500ms"))
"""
    watching(suite, body).run().assert_outcomes(**{outcome: 1})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("shown = claude_latency.watch(pieces(), total='1ms'); next(shown)", "total has no value"),
        ("shown = claude_latency.watch(pieces(), ttft='1ms'); next(shown); shown.close()", "ttft was 400ms"),
        ("list(claude_latency.watch(pieces(), longest_gap='100ms'))", "longest_gap was 500ms"),
        ("list(claude_latency.watch(pieces(), text=lambda item: '', ttft='9s'))", "nothing that a user sees came"),
        ("list(claude_latency.watch(pieces(), ttfb='9s'))", "ttfb is not measured of an output"),
        ("list(claude_latency.watch(7, ttft='9s'))", "this cannot be watched"),
    ],
    ids=["never finished", "closed", "a gap", "nothing seen", "another metric", "no output"],
)
def test_an_output_is_judged_however_it_ends(suite: Suite, body: str, said: str) -> None:
    result = watching(suite, f"def test_it(claude_latency):\n    {body}\n").run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{said}*"])


def test_an_output_of_a_call_that_came_late_is_not_said_to_be_held_back(suite: Suite) -> None:
    body = """
def test_it(claude_latency):
    list(claude_latency.watch(pieces(), ttft="300ms"))
"""
    result = watching(suite, body).run()

    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*held back*")


def test_a_broken_output_of_an_application_is_told_without_a_traceback_beside_the_budget_of_the_test(
    suite: Suite,
) -> None:
    body = """
@pytest.mark.latency_budget(total="600ms")
def test_it(claude_latency):
    asyncio.run(ask_it(claude_latency.watch(application(True), ttft="500ms")))
"""
    result = watching(suite, body).run("--latency-budget")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["watched output: ttft was 900ms, 400ms over *", "total was 900ms, 300ms over the budget of 600ms"]
    )
    result.stdout.no_fnmatch_line("*contextlib*")


def test_it_counts_from_the_innermost_block(suite: Suite) -> None:
    body = """
def test_it(claude_latency):
    time.sleep(3)
    with claude_latency.budget(calls=1):
        list(claude_latency.watch(pieces(), ttft="400ms"))
"""
    watching(suite, body).run().assert_outcomes(passed=1)


def test_async_iterators_are_watched_too(suite: Suite) -> None:
    body = """
@pytest.mark.asyncio
async def test_it(claude_latency):
    assert "".join([text async for text in claude_latency.watch(apieces(), ttft="399ms")])
"""
    watching(suite, body).run().stdout.fnmatch_lines(["*watched output: ttft was 400ms*"])


def test_an_output_in_a_block_tells_when_the_block_began(suite: Suite) -> None:
    watching(
        suite,
        """
def test_it(claude_latency):
    time.sleep(2)
    with claude_latency.budget(calls=1):
        assert "".join(claude_latency.watch(pieces()))
""",
    ).replay().assert_outcomes(passed=1)

    (output,) = suite.report["tests"][0]["watched"]
    assert (output["start"], output["ttft"]) == (2.0, pytest.approx(0.4))
