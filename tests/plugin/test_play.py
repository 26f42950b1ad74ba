"""`play`: recordings that are given as values, inside `@given` and outside."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings

from pytest_claude_latency import BudgetExceeded, Recording, play
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request, Response
from pytest_claude_latency.run.messages import on_given
from pytest_claude_latency.strategies import recordings
from tests.plugin.suite import Suite
from tests.support.claude_messages import text

CLIENT = anthropic.Anthropic(timeout=None)  # making one takes the SDK a while
FAILURES: Any = (anthropic.APIError, HTTPLibrary.of_sdk().module.TransportError)
ASKED: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}


def _recording(*waits: float) -> Recording:
    """A call for each wait, whose first word comes after so many seconds and whose end comes a second later."""
    return Recording(
        test="made by hand",
        recorded="2026-11-22T11:30:00.000Z",
        anthropic="2.12.0",
        exchanges=tuple(_streamed(round(wait * SECOND)) for wait in waits),
    )


def _streamed(wait: int) -> Exchange:
    parts = [part.data for part in text("Hello |world").parts]
    opening, content, closing = b"".join(parts[:3]), b"".join(parts[3:6]), b"".join(parts[6:])
    return Exchange(
        sent=0,
        request=Request("POST", "https://api.anthropic.com/v1/messages", (), b"{}"),
        response=Response(wait // 2, 200, (("content-type", "text/event-stream; charset=utf-8"),)),
        chunks=(Chunk(wait // 2, opening), Chunk(wait, content), Chunk(wait + SECOND, closing)),
        end=End(wait + SECOND),
    )


def _ask() -> str:
    with CLIENT.messages.stream(**ASKED) as answer:
        return answer.get_final_text()


async def _ask_async() -> str:
    async with anthropic.AsyncAnthropic() as client, client.messages.stream(**ASKED) as answer:
        return await answer.get_final_text()


def first_word_shown(clock: Any) -> float:
    asked: float = clock()
    with CLIENT.messages.stream(**ASKED) as answer:
        for piece in answer.text_stream:
            if piece:
                break
    shown: float = clock() - asked
    return shown


@settings(max_examples=20)
@given(recordings(ttft=("100ms", "2s"), thinking=True))
def test_the_first_word_is_shown_as_soon_as_it_comes(recording: Recording) -> None:
    with play(recording) as measured:
        shown_after = first_word_shown(clock=time.monotonic)

    ttfa = measured.calls[0].ttfa
    assert ttfa is not None
    assert shown_after - ttfa < 0.05


def test_time_passes_as_recorded_and_at_once() -> None:
    machine = time.monotonic.machine  # type: ignore[attr-defined]  # the function that was replaced
    began = machine()

    with play(_recording(3600, 2)) as measured:
        assert _ask() == "Hello world"
        time.sleep(10)
        assert _ask() == "Hello world"

    assert [call.ttft for call in measured.calls] == [3600, 2]
    assert [call.total for call in measured.calls] == [3601, 3]
    assert measured.elapsed == 3601 + 10 + 3
    assert machine() - began < 60


def test_async_programs_and_threads_wait_together() -> None:
    async def gathered() -> list[str]:
        return list(await asyncio.gather(_ask_async(), _ask_async(), asyncio.to_thread(_ask)))

    with play(_recording(1, 1, 1)) as measured:
        assert asyncio.run(gathered()) == ["Hello world"] * 3
    with play(_recording(1, 1, 1)) as pooled, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: _ask(), range(3))) == ["Hello world"] * 3

    assert measured.elapsed == 2
    assert pooled.elapsed == 4


def test_it_works_inside_a_coroutine() -> None:
    async def main() -> None:
        for wait in (100, 200):
            with play(_recording(wait)) as measured:
                assert await _ask_async() == "Hello world"
                await asyncio.sleep(9)
            assert measured.elapsed == wait + 1
        await asyncio.sleep(0.01)

    asyncio.run(main())


def test_budgets_are_judged_inside() -> None:
    with play(_recording(1, 3)) as measured:
        with measured.budget(ttft="2s", calls=1):
            _ask()
        with pytest.raises(BudgetExceeded, match=r"ttft was 3.000s, 1.000s over"), measured.budget(ttft="2s"):
            _ask()


def test_one_request_more_fails_even_if_the_program_hides_it() -> None:
    def careless() -> None:
        _ask()
        with suppress(BaseException):
            _ask()

    with pytest.raises(pytest.fail.Exception, match="one request more than the 1 exchanges"), play(_recording(1)):
        careless()


@pytest.mark.parametrize("kind", ["error", "drop", "retries"])
def test_failures_are_played_as_they_are_generated(kind: str) -> None:
    settings_of_kind: Any = {"error": {"errors": True}, "drop": {"drops": True}, "retries": {"retries": True}}[kind]

    @settings(max_examples=25)
    @given(recordings(**settings_of_kind))
    def plays(recording: Recording) -> None:
        with play(recording) as measured:
            try:
                _ask()
            except FAILURES:
                failed = True
            else:
                failed = False
        (call,) = measured.calls
        assert call.attempts == len(recording.exchanges)
        assert (call.error is not None) == failed

    plays()


def test_a_failing_block_leaves_everything_as_it_was() -> None:
    def failing() -> None:
        _ask()
        raise ZeroDivisionError

    before = threading.active_count()

    with pytest.raises(ZeroDivisionError), play(_recording(5)):
        failing()

    assert threading.active_count() == before
    machine = time.monotonic.machine  # type: ignore[attr-defined]  # the function that was replaced
    ahead = time.monotonic() - machine()  # of the machine's clock, so that none goes back
    time.sleep(0.01)
    assert time.monotonic() - machine() == pytest.approx(ahead, abs=0.5)
    with play(_recording(1)):
        assert _ask() == "Hello world"


def test_it_is_refused_inside_another() -> None:
    inner = play(_recording(1))

    with play(_recording(1)), pytest.raises(RuntimeError, match=r"play\(\.\.\.\) inside another play\(\.\.\.\)"):
        inner.__enter__()


def test_it_is_refused_inside_a_latency_test(suite: Suite) -> None:
    suite.write(
        """
from pytest_claude_latency import Recording, play


def test_it(claude_latency):
    with play(Recording(test="", recorded="2026-11-22T11:30:00.000Z", anthropic="")):
        pass
"""
    )

    for run in (suite.replay, suite.record):
        result = run()

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E * RuntimeError: play(...) inside the latency test test_it.py::test_it*"])


def test_a_recorded_file_plays_as_it_replays(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n")
    suite.record()
    suite.replay()
    recording = Recording.load(suite.path / "cassettes" / "test_it" / "test_it.1.jsonl")

    with play(recording) as measured:
        _ask()

    # Another program asks here, and no report is made of it.
    left_out = ("breakdown", "segments", "longest_gap_span", "location")
    (replayed,) = [{name: call[name] for name in call if name not in left_out} for call in suite.calls("test_it")]
    (played,) = [call.as_json() for call in measured.calls]
    assert {name: value for name, value in played.items() if name != "location"} == replayed


HYPOTHESIS = """
from hypothesis import HealthCheck, Phase, given, settings
from pytest_claude_latency import play
from pytest_claude_latency.strategies import recordings

client = anthropic.Anthropic()


@settings(deadline=2000, max_examples=5, suppress_health_check=list(HealthCheck))
@given(recordings(ttft=("300s", "500s")))
def test_minutes_pass_at_once(recording):
    with play(recording):
        stream(client=client)


@settings(deadline=200, max_examples=2, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(recordings())
def test_real_slowness_is_seen(recording):
    with play(recording):
        stream(client=client)
        time.sleep.machine(0.5)


@pytest.mark.latency_budget(ttft="1s")
@given(recordings())
def test_marked(recording):
    with play(recording):
        stream(client=client)


@settings(max_examples=20, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(recordings(ttft="2s"))
def test_too_slow(recording):
    with play(recording) as measured, measured.budget(ttft="1s"):
        stream(client=client)
"""


def test_hypothesis_times_its_examples_by_the_machine(suite: Suite) -> None:
    suite.write(HYPOTHESIS)

    result = suite.replay("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "*DeadlineExceeded*",
            f"{on_given(['latency_budget'])[:45]}*",
            "E * ttft was 2.000s, 1.000s over the budget of 1s",
        ]
    )
