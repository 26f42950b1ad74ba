"""Every metric a budget can limit, kept and broken, judged through the plugin."""

from __future__ import annotations

import pytest

from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_answers import Answer, Timetable, hang_up, status
from tests.support.claude_messages import Text, Thinking, Usage, message, text

ANSWER = message(
    Thinking("Let me |see"),
    Text("The |answer |is |four"),
    timetable=Timetable.of("30ms", ["20ms", "20ms", "40ms", "5ms", "150ms", "5ms"], "20ms"),
    usage=Usage(input_tokens=10, output_tokens=21, cache_read=300, cache_write=40),
)
"""Headers at 30 ms, first token at 50, first answer token at 110, end at 290; a gap of 150 between two deltas."""

METRICS = {
    "ttfb": ("10s", "20ms", "ttfb was "),
    "ttft": ("10s", "40ms", "ttft was "),
    "ttfa": ("10s", "90ms", "ttfa was "),
    "total": ("10s", "150ms", "total was "),
    "longest_gap": ("10s", "50ms", "longest_gap was "),
    "tpot": ("10s", "2ms", "tpot was "),
    "elapsed": ("10s", "150ms", "elapsed was "),
    "output_tokens": (21, 20, "output_tokens were 21, 1 over the budget of 20"),
    "prompt_tokens": (350, 349, "prompt_tokens were 350, 1 over the budget of 349"),
    "attempts": (1, 0, "attempts were 1, 1 over the budget of 0"),
    "calls": (1, 0, "calls were 1, 1 over the budget of 0"),
    "cache_read_tokens": (300, 301, "cache_read_tokens were 300, 1 under the budget of 301"),
    "output_tokens_per_second": (1, 100_000, "output_tokens_per_second was "),
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_judged(suite: Suite, metric: str) -> None:
    kept, broken, says = METRICS[metric]
    suite.write(
        f"""
@pytest.mark.parametrize("side", [
    pytest.param("kept", marks=pytest.mark.latency_budget({metric}={kept!r})),
    pytest.param("broken", marks=pytest.mark.latency_budget({metric}={broken!r})),
])
def test_it(side):
    stream()
"""
    )
    suite.server.answers(lambda request: ANSWER)
    suite.record()

    result = suite.replay()

    result.assert_outcomes(passed=1, failed=1)
    assert suite.test("test_it[kept]")["budgets"][0]["verdict"] == "kept"
    assert suite.test("test_it[broken]")["budgets"][0]["verdict"] == "broken"
    result.stdout.fnmatch_lines([f"{says}*"])


def test_the_worst_call_decides_and_is_named(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="150ms", output_tokens=50)
def test_it():
    [stream(word) for word in "abc"]
"""
    )
    slow = text("slow", ttfb="400ms", usage=Usage(output_tokens=9))
    long = text("long", usage=Usage(output_tokens=60))
    suite.server.answer(text("quick"), slow, long)
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*call 2 of 3, claude-haiku-4-5, streamed", "*call 3 of 3, claude-haiku-4-5, streamed"]
    )


def test_a_call_that_does_not_stream_breaks_a_budget_for_its_first_token(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(ttft='100ms')\ndef test_it():\n    ask()\n")
    suite.server.answer(text("a| slow| answer", ttfb="20ms", gaps=["1ms", "50ms", "50ms"]))
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=1)
    whole_lines(result).fnmatch_lines(["*not streamed (its first token came with its last)*"])


@pytest.mark.parametrize(
    ("answer", "limits", "reason"),
    [
        (status(400), "ttft='1s'", "ttft has no value, no token came: it breaks the budget of 1s"),
        (status(400), "ttfa='1s'", "ttfa has no value, no answer token came: it breaks the budget of 1s"),
        (hang_up(), "ttfb='1s'", "ttfb has no value, no response came: it breaks the budget of 1s"),
    ],
)
def test_what_never_came_breaks_a_budget(suite: Suite, answer: Answer, limits: str, reason: str) -> None:
    suite.write(
        f"""
@pytest.mark.latency_budget({limits})
def test_it():
    with pytest.raises(anthropic.APIError):
        ask(client=anthropic.Anthropic(max_retries=0))
"""
    )
    suite.server.answer(answer)
    suite.record().assert_outcomes(passed=1)

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([reason])


def test_retries_break_a_budget_of_attempts(suite: Suite) -> None:
    suite.write("@pytest.mark.latency_budget(attempts=1)\ndef test_it():\n    ask()\n")
    suite.server.answer(status(529).with_headers(retry_after_ms="1"), text("at last"))
    suite.record()

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["attempts were 2, 1 over the budget of 1", "*2 attempts"])


@pytest.mark.parametrize("mode", ["record", "live"])
def test_budgets_are_judged_in_every_mode(suite: Suite, mode: str) -> None:
    suite.write("@pytest.mark.latency_budget(ttft='10ms')\ndef test_it():\n    stream()\n")
    suite.server.answer(text("slow", ttfb="40ms"))

    result = suite.record("--latency-budget", mode=mode)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ttft was *, * over the budget of 10ms"])
