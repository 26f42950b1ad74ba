"""`with claude_latency.budget(...)`: an assertion like any other, judged at the end of its block."""

from __future__ import annotations

import json

import pytest

from pytest_claude_latency.budgets.judgement import NO_CALL
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

SLOW = text("Hello wor|ld", ttfb="450ms", gaps=["2ms", "3ms"])
QUICK = text("Hello wor|ld", ttfb="1ms")


@pytest.mark.parametrize("switch", [(), ("--latency-budget",)], ids=["not judging", "judging"])
def test_a_block_is_judged_whether_or_not_the_run_judges(suite: Suite, switch: tuple[str, ...]) -> None:
    suite.write(
        """
def test_it(claude_latency):
    with claude_latency.budget(ttft="300ms", calls=1):
        stream()
"""
    )
    suite.server.answer(SLOW)
    recorded = suite.record(*switch)

    result = suite.run(*switch)

    recorded.assert_outcomes(failed=1)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * ttft was *, * over the budget of 300ms",
            "E *   budget    ttft<300ms *claude_latency.budget(...)",
            "E *   measured  *ms",
            "E * call 1 of 1, claude-haiku-4-5, streamed",
            "E *   timeline  sent 0ms · headers *",
            "E *   recording cassettes/test_it/test_it.1.jsonl",
        ]
    )


def test_the_traceback_shows_the_line_of_the_user_and_none_of_the_plugin(suite: Suite) -> None:
    suite.write(
        """
def judged(claude_latency):
    with claude_latency.budget(ttft="300ms"):  # the promise
        stream()


def test_it(claude_latency):
    judged(claude_latency)  # the user's line
"""
    )
    suite.server.answer(SLOW)
    suite.record()

    for style in ("auto", "long", "short", "native"):
        result = suite.replay(f"--tb={style}")

        shown = ["*judged(claude_latency)*", "*with claude_latency.budget*", "*ttft was * over the budget of 300ms"]
        result.stdout.fnmatch_lines(shown)
        if style != "native":
            result.stdout.no_fnmatch_line("*pytest_claude_latency*.py*")
            result.stdout.no_fnmatch_line("*contextlib*")


def test_only_the_calls_made_inside_are_judged(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    stream("slow")
    with claude_latency.budget(ttft="300ms", calls=2, elapsed="1s"):
        stream("quick"), stream("quick")
    stream("slow")
    assert len(claude_latency.calls) == 4
"""
    )
    suite.server.answers(lambda request: SLOW if b"slow" in request.content else QUICK)
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)
    (block,) = suite.report["tests"][0]["blocks"]
    assert (block["place"], block["calls"]) == ("test_it.py:8", [2, 3])
    assert [budget["verdict"] for budget in block["budgets"]] == ["kept"] * 3
    # the first call of the block is the second of the test
    assert block["budgets"][0]["call"] in (2, 3)


def test_blocks_may_be_nested(suite: Suite) -> None:
    suite.write(
        """
from pytest_claude_latency import BudgetExceeded


def test_it(claude_latency):
    with claude_latency.budget(calls=3):
        stream("quick")
        with pytest.raises(BudgetExceeded, match="ttft was"):
            with claude_latency.budget(ttft="300ms"):
                stream("slow")
        with claude_latency.budget(calls=1, ttft="300ms"):
            stream("quick")
    with pytest.raises(AssertionError, match="calls were 2, 1 over the budget of 1"):
        with claude_latency.budget(calls=1):
            with claude_latency.budget(calls=2):
                stream("quick"), stream("quick")
"""
    )
    suite.server.answers(lambda request: SLOW if b"slow" in request.content else QUICK)
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)


def _at_the_servers_pace(suite: Suite) -> None:
    """Take out of the recordings what the machine added to the server's pace: every answer ends after 155 ms."""
    for name in suite.recordings():
        path = suite.path / name
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        ends = {line["end"]: line["at"] for line in lines if "end" in line}
        for line in lines:
            number = next((line[kind] for kind in ("response", "chunk", "end", "connect") if kind in line), None)
            if number is not None:
                line["at"] = round(line["at"] * 155 / ends[number], 3)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_block_in_an_async_test(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.asyncio
async def test_together(claude_latency):
    with claude_latency.budget(elapsed="290ms", calls=2):
        await asyncio.gather(astream(), astream())


@pytest.mark.asyncio
async def test_in_turn(claude_latency):
    with claude_latency.budget(elapsed="290ms"):
        await astream()
        await astream()


@pytest.mark.anyio
async def test_under_anyio(claude_latency, anyio_backend_name):
    with claude_latency.budget(ttft="20ms"):
        await astream()
"""
    )
    suite.pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    suite.server.answers(lambda request: SLOW)
    suite.record()
    _at_the_servers_pace(suite)

    result = suite.replay()

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*elapsed was * over the budget of 290ms", "*ttft was * over the budget of 20ms"])


def test_a_failure_inside_a_block_is_reported_as_it_is(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    with claude_latency.budget(ttft="300ms"):
        assert stream() == "something else"
"""
    )
    suite.server.answer(SLOW)
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*over the budget*")


def test_a_block_without_a_call_fails(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    with claude_latency.budget(calls=0):
        pass
    with claude_latency.budget(ttft="1s"):
        pass
"""
    )

    result = suite.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{NO_CALL}*"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("ttfft='1s'", "E * unknown metric 'ttfft'; did you mean 'ttft'?*"),
        ("ttft='fast'", "E * ttft: 'fast' is not a duration"),
        ("ttft={'p95': '1s'}", "E * ttft.p95<1s needs samples*"),
        ("", "E * it has no limits"),
        ("'1s'", "*takes 1 positional argument*"),
    ],
)
def test_a_block_that_is_not_understood_fails_before_its_body(suite: Suite, arguments: str, says: str) -> None:
    suite.write(
        f"""
def test_it(claude_latency):
    with claude_latency.budget({arguments}):
        raise SystemExit("the body must not run")
"""
    )

    result = suite.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*pytest_claude_latency*.py*")


def test_a_block_in_a_fixture_judges_the_calls_of_the_fixture(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture
def asked(claude_latency):
    with claude_latency.budget(ttft="300ms"):
        stream()


def test_it(asked):
    pass
"""
    )
    suite.server.answer(SLOW)

    recorded = suite.record()
    replayed = suite.replay()

    recorded.assert_outcomes(errors=1)
    replayed.assert_outcomes(errors=1)
    replayed.stdout.fnmatch_lines(["*ttft was *, * over the budget of 300ms"])


def test_a_call_that_still_runs_at_the_end_of_a_block_has_no_total(suite: Suite) -> None:
    suite.write(
        """
def test_it(claude_latency):
    with claude_latency.budget(total="5s"):
        stream = anthropic.Anthropic().messages.create(
            model="claude-haiku-4-5", max_tokens=9, messages=messages("hi"), stream=True
        )
        next(iter(stream))
    stream.close()
"""
    )
    suite.server.answer(SLOW)
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*total has no value, the answer had not ended: it breaks the budget of 5s"])
