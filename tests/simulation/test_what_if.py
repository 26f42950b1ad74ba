"""Questions to a recording: how they are written, and what they change."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.results.what_if import WhatIf, WouldBe
from pytest_claude_latency.simulation.answer_times import Change
from pytest_claude_latency.simulation.chosen_calls import EVERY, ChosenCalls
from pytest_claude_latency.simulation.what_if import Question, sensitivities
from tests.support.some_recording import recording
from tests.support.written_calls import OPUS, asked, ns, streamed

TWO = recording(streamed(asked(), ended=1000), streamed(asked("b", model=OPUS), sent=1000, ended=1000))


@pytest.mark.parametrize(
    ("text", "part", "change", "chosen"),
    [
        ("ttft*0.5", "ttft", Change(Fraction(1, 2)), EVERY),
        ("total * 2", "total", Change(Fraction(2)), EVERY),
        ("output+300ms", "output", Change(more=300 * MILLISECOND), EVERY),
        ("ttft-1.5s", "ttft", Change(more=-1500 * MILLISECOND), EVERY),
        ("model=claude-opus-*: ttft*0", "ttft", Change(Fraction(0)), ChosenCalls(when=(("model", "claude-opus-*"),))),
        (
            "model=claude-* stream=true: total*1",
            "total",
            Change(),
            ChosenCalls(when=(("model", "claude-*"), ("stream", True))),
        ),
    ],
)
def test_a_question_is_read(text: str, part: str, change: Change, chosen: ChosenCalls) -> None:
    assert Question.parse(text) == Question(text, part, change, chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not understood; accepted"),
        ("ttfb*2", "is not understood; did you mean 'ttft'?; accepted"),
        ("model=claude-*: outputs*2", "is not understood; did you mean 'output'?; accepted"),
        ("ttft*-1", "'-1' is not a factor; accepted: a number of at least 0"),
        ("ttft*fast", "'fast' is not a factor"),
        ("ttft+2", "is not a duration"),
        ("ttft+-2s", "is not a duration"),
        ("opus: ttft*2", "'opus' is not FIELD=PATTERN"),
        ("model=: ttft*2", "'model=' is not FIELD=PATTERN"),
    ],
)
def test_a_question_that_is_not_understood_is_refused(text: str, problem: str) -> None:
    with pytest.raises(LimitError, match=re.escape(problem)):
        Question.parse(text)


def test_a_question_is_about_the_calls_that_fit_it() -> None:
    changed = Question.parse("model=claude-opus-*: ttft+1s").applied(TWO)

    first, second = (measure([exchange]) for exchange in changed.exchanges)
    assert (first.ttft, second.ttft) == (0.4, 1.4)
    assert not Question.parse("model=claude-x: ttft*2").fits(TWO)


def test_sensitivities_are_three_for_each_call() -> None:
    questions = sensitivities(TWO)

    assert [question.text for question in questions] == [
        f"call {number} ({model}) {how}"
        for number, model in ((1, "claude-haiku-4-5"), (2, OPUS))
        for how in ("20 % faster", "twice as fast", "at once")
    ]
    ends = [question.applied(TWO).exchanges[-1] for question in questions]
    assert [exchange.sent + (exchange.end.at if exchange.end else 0) for exchange in ends] == [
        ns(milliseconds) for milliseconds in (1800, 1500, 1000) * 2
    ]


@settings(max_examples=50)
@given(st.integers(1, 10**10), st.lists(st.integers(0, 2 * 10**10), max_size=6))
def test_bars_are_as_long_as_what_is_saved(now: int, answers: list[int]) -> None:
    would_be = [WouldBe(question="?", elapsed=elapsed, ending="passed") for elapsed in answers]

    bars = WhatIf(now=WouldBe(question="now", elapsed=now), answers=tuple(would_be)).bars()

    assert bars[0] == ""
    assert [len(bar) for bar in bars[1:]] == [round(20 * min(abs(1 - elapsed / now), 1)) for elapsed in answers]
    assert [bar.endswith("…") for bar in bars[1:]] == [1 - elapsed / now < -1 for elapsed in answers]
    assert all(
        set(bar.removesuffix("…")) <= ({"█"} if elapsed < now else {"+"})
        for bar, elapsed in zip(bars[1:], answers, strict=True)
    )


def test_what_takes_more_than_twice_as_long_is_told_as_a_multiple() -> None:
    answers = [WouldBe(question="?", elapsed=elapsed, ending="passed") for elapsed in (750, 2_000, 3_640, 1_379_460)]

    rows = WhatIf(now=WouldBe(question="now", elapsed=1_000), answers=tuple(answers)).cells()

    assert [row[-1] for row in rows] == ["", "25 %", "-100 %", "3.6 times as long", "1,379 times as long"]


def test_a_question_about_far_more_time_leaves_the_other_bars_as_they_are() -> None:
    answers = [WouldBe(question="?", elapsed=elapsed, ending="passed") for elapsed in (500, 21_000, 1_500)]

    assert WhatIf(now=WouldBe(question="now", elapsed=1_000), answers=tuple(answers)).bars(width=10) == [
        "",
        "█████",
        "+++++++++…",
        "+++++",
    ]
