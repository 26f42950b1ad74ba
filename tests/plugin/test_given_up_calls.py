"""The losers of a hedge: judged on no time, counted as calls; a run with one is saved, compared and exported."""

from __future__ import annotations

import json

import pytest

from pytest_claude_latency.cli.command import main
from tests.plugin.suite import Suite
from tests.support.claude_messages import text
from tests.support.recorded_programs import call, record, stream

LIMITS = '@pytest.mark.latency_budget(ttft="1.2s", total="3s", elapsed="3s", calls=2)'
HEDGES = f"""
import threading, queue
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
import anyio, trio

ASKED = {{"model": "claude-haiku-4-5", "max_tokens": 100}}


async def first_word(prompt):
    async with anthropic.AsyncAnthropic() as client:
        async with client.messages.stream(messages=messages(prompt), **ASKED) as answer:
            async for word in answer.text_stream:
                return word


{LIMITS}
@pytest.mark.asyncio
async def test_cancelled_tasks():
    tasks = [asyncio.create_task(aask(prompt)) for prompt in ("late", "soon")]
    _, losers = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for loser in losers:
        loser.cancel()
    await asyncio.gather(*losers, return_exceptions=True)


{LIMITS}
@pytest.mark.asyncio
async def test_a_task_that_is_left_to_the_loop():
    tasks = [asyncio.create_task(aask(prompt)) for prompt in ("late", "soon")]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


{LIMITS}
@pytest.mark.asyncio
async def test_streams_and_a_hedge_after_a_delay():
    primary = asyncio.create_task(first_word("late stream"))
    await asyncio.wait([primary], timeout=0.8)
    hedge = asyncio.create_task(first_word("soon stream"))
    _, losers = await asyncio.wait([primary, hedge], return_when=asyncio.FIRST_COMPLETED)
    for loser in losers:
        loser.cancel()
    await asyncio.gather(*losers, return_exceptions=True)


{LIMITS}
def test_a_closed_stream():
    with anthropic.Anthropic() as client:
        late = client.messages.create(messages=messages("late stream"), stream=True, **ASKED)
        ask("soon", client)
        late.close()


{LIMITS}
def test_an_abandoned_stream():
    client = anthropic.Anthropic()
    late = client.messages.create(messages=messages("late stream"), stream=True, **ASKED)
    ask("soon", client)


{LIMITS}
def test_a_cancel_scope_of_trio():
    async def main():
        async with trio.open_nursery() as nursery:
            async def race(prompt):
                await aask(prompt)
                nursery.cancel_scope.cancel()

            nursery.start_soon(race, "late")
            nursery.start_soon(race, "soon")

    trio.run(main)


{LIMITS}
@pytest.mark.anyio
async def test_a_cancel_scope_of_anyio(anyio_backend):
    async with anyio.create_task_group() as group:
        async def race(prompt):
            await aask(prompt)
            group.cancel_scope.cancel()

        group.start_soon(race, "late")
        group.start_soon(race, "soon")


{LIMITS}
def test_threads():
    answers = queue.Queue()
    for prompt in ("late", "soon"):
        threading.Thread(target=lambda prompt=prompt: answers.put(ask(prompt)), daemon=True).start()
    answers.get()
"""
RECORDED = {
    "test_cancelled_tasks": [call(60, "late"), call(1, "soon")],
    "test_a_task_that_is_left_to_the_loop": [call(60, "late"), call(1, "soon")],
    "test_streams_and_a_hedge_after_a_delay": [stream("late stream", 0.5, 50, 60), stream("soon stream", 0.2, 1, 4)],
    "test_a_closed_stream": [stream("late stream", 0.5, 50, 60), call(1, "soon")],
    "test_an_abandoned_stream": [stream("late stream", 0.5, 50, 60), call(1, "soon")],
    "test_a_cancel_scope_of_trio": [call(60, "late"), call(1, "soon")],
    "test_a_cancel_scope_of_anyio[asyncio]": [call(60, "late"), call(1, "soon")],
    "test_a_cancel_scope_of_anyio[trio]": [call(60, "late"), call(1, "soon")],
    "test_threads": [call(60, "late"), call(1, "soon")],
}


@pytest.fixture
def hedges(suite: Suite) -> Suite:
    """Tests that each give up a call, with recordings in which that call takes a minute."""
    suite.write(HEDGES)
    for test, exchanges in RECORDED.items():
        record(suite.path / "test_it.py", test, exchanges)
    return suite


def test_limits_on_times_are_judged_on_the_winner(hedges: Suite) -> None:
    hedges.replay().assert_outcomes(passed=len(RECORDED))

    for test in hedges.report["tests"]:
        late, soon = test["calls"]
        assert (late["given_up"], late["ttft"], "given_up" in soon) == (True, None, False), test["nodeid"]
        assert {budget["verdict"] for budget in test["budgets"]} == {"kept"}
        assert [budget["call"] for budget in test["budgets"] if budget["metric"] == "ttft"] == [2]


def test_reports_name_the_loser_and_show_the_times_of_the_winner(hedges: Suite) -> None:
    result = hedges.replay("-k", "test_cancelled_tasks", "-vv", "--latency-report=report.html", "--junitxml=junit.xml")

    result.stdout.fnmatch_lines(["    call 1, given up: *closed by the client*", "    call 2: *"])
    assert "given up, not streamed, closed by the client" in (hedges.path / "report.html").read_text()
    assert 'name="latency.ttft" value="1.0"' in (hedges.path / "junit.xml").read_text()


def test_the_critical_path_goes_over_the_winner(hedges: Suite) -> None:
    hedges.replay("-k", "test_cancelled_tasks or test_streams_and_a_hedge").assert_outcomes(passed=2)

    cancelled, hedged = ({test["nodeid"]: test["breakdown"] for test in hedges.report["tests"]}).values()
    assert cancelled == {"whole": 1.0}
    assert hedged == {"waiting": 1.8}  # 0.8 s until the hedge was sent, and its own second


def test_a_run_with_one_is_saved_compared_and_exported(hedges: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    hedges.replay("--latency-save=main").assert_outcomes(passed=len(RECORDED))

    compared = hedges.replay("--latency-compare=main", "--latency-strict")
    compared.assert_outcomes(passed=len(RECORDED))
    verdicts = {verdict["verdict"] for verdict in hedges.report["verdicts"]}
    assert verdicts == {"unchanged"}
    capsys.readouterr()
    assert main(["compare", "main", "main"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert main(["export", "main", "--format=bencher"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert {measures["ttft"]["value"] for measures in exported.values()} == {1e9}


ALONE = """
@pytest.mark.latency_budget(ttft="5s", elapsed="10s")
@pytest.mark.asyncio
async def test_a_time_out_and_a_fallback():
    try:
        await asyncio.wait_for(aask("late"), 2)
    except TimeoutError:
        await aask("soon")


@pytest.mark.latency_budget(ttft="5s", elapsed="10s")
@pytest.mark.asyncio
async def test_a_call_that_nobody_replaces():
    try:
        await asyncio.wait_for(aask("late"), 2)
    except TimeoutError:
        pass


@pytest.mark.latency_budget(elapsed="10s")
@pytest.mark.asyncio
async def test_a_block_that_ends_while_a_call_is_under_way(claude_latency):
    with claude_latency.budget(ttft="5s"):
        tasks = [asyncio.create_task(aask(prompt)) for prompt in ("late", "soon")]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
"""


def test_a_call_that_lost_against_nobody_is_judged(suite: Suite) -> None:
    suite.write(ALONE)
    late, soon = call(60, "late"), call(1, "soon")
    record(suite.path / "test_it.py", "test_a_time_out_and_a_fallback", [late, soon])
    record(suite.path / "test_it.py", "test_a_call_that_nobody_replaces", [late])
    record(suite.path / "test_it.py", "test_a_block_that_ends_while_a_call_is_under_way", [late, soon])

    result = suite.replay()

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*ttft has no value, no token came: it breaks the budget of 5s"] * 3)


def test_a_call_that_nobody_replaced_is_saved_compared_and_exported(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    suite.write(ALONE.replace('ttft="5s", ', ""))
    record(suite.path / "test_it.py", "test_a_call_that_nobody_replaces", [call(60, "late")])
    chosen = ("-k", "nobody_replaces")
    suite.replay("--latency-save=main", *chosen).assert_outcomes(passed=1)

    suite.replay("--latency-compare=main", *chosen).assert_outcomes(passed=1)

    assert {verdict["verdict"] for verdict in suite.report["verdicts"]} == {"unchanged"}
    capsys.readouterr()
    assert main(["compare", "main", "main"]) == 0
    assert main(["export", "main", "--format=github"]) == 0
    assert "no token came in 1 of 1 samples" in " ".join(capsys.readouterr().err.split())


def test_a_recorded_hedge_is_judged_as_its_replay_is(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="5s", total="5s")
@pytest.mark.asyncio
async def test_it():
    async with anthropic.AsyncAnthropic() as client:
        tasks = [asyncio.create_task(aask(prompt, client)) for prompt in ("late", "soon")]
        _, losers = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for loser in losers:
            loser.cancel()
        await asyncio.gather(*losers, return_exceptions=True)
"""
    )
    suite.server.answers(lambda request: text("Hi", ttfb="20s" if b"late" in request.content else "50ms"))

    suite.record("--latency-budget").assert_outcomes(passed=1)
    recorded = suite.report["tests"][0]["calls"]
    suite.replay().assert_outcomes(passed=1)

    replayed = suite.report["tests"][0]["calls"]
    assert [call.get("given_up") for call in recorded] == [call.get("given_up") for call in replayed]
    assert sorted(call.get("given_up", False) for call in replayed) == [False, True]
