from __future__ import annotations

import json
from statistics import median, quantiles

import pytest

from pytest_claude_latency.duration import MILLISECOND, SECOND
from tests.support.claude_answers import Answer
from tests.support.claude_messages import Text, Thinking, ToolUse
from tests.support.latency_profiles import profile

LONG = " ".join(f"word{number:04}" for number in range(250))
SEEDS = range(400)


def first_delta(answer: Answer) -> float:
    """Milliseconds from the request to the first delta."""
    place = next(place for place, part in enumerate(answer.parts) if part.content)
    return (answer.ttfb + sum(part.gap for part in answer.parts[: place + 1])) / MILLISECOND


def test_the_same_seed_gives_the_same_answer() -> None:
    assert profile("haiku-4.5", 7).answer(Text(LONG)) == profile("haiku-4.5", 7).answer(Text(LONG))
    assert profile("haiku-4.5", 7).answer(Text(LONG)) != profile("haiku-4.5", 8).answer(Text(LONG))


@pytest.mark.parametrize(("name", "middle", "late"), [("haiku-4.5", 430, 1000), ("sonnet-4.5", 1050, 2400)])
def test_times_to_first_token_lie_where_they_were_measured(name: str, middle: float, late: float) -> None:
    ttfts = [first_delta(profile(name, seed).answer(Text("Hello there"))) for seed in SEEDS]

    assert median(ttfts) == pytest.approx(middle, rel=0.1)
    assert quantiles(ttfts, n=20)[-1] == pytest.approx(late, rel=0.2)


@pytest.mark.parametrize(("name", "slow", "fast"), [("haiku-4.5", 80, 125), ("opus-4.6", 45, 75)])
def test_tokens_come_as_fast_as_they_were_measured(name: str, slow: float, fast: float) -> None:
    speeds = []
    for seed in range(50):
        answer = profile(name, seed).answer(Text(LONG))
        gaps = [part.gap for part in answer.parts if part.content]
        speeds.append(len(LONG) / 4 * SECOND / sum(gaps[1:]))

    assert slow * 0.95 < median(speeds) < fast * 1.05
    assert slow * 0.8 < min(speeds)
    assert max(speeds) < fast * 1.25


def test_an_answer_without_a_stream_takes_the_measured_base_and_time_per_token() -> None:
    totals = []
    for seed in SEEDS:
        answer = profile("haiku-4.5", seed).answer(Text(LONG)).unstreamed
        assert answer is not None
        totals.append((answer.ttfb / MILLISECOND, json.loads(answer.body)["usage"]["output_tokens"]))

    assert median(total - 12.4 * tokens for total, tokens in totals) == pytest.approx(708, rel=0.1)


def test_a_text_is_cut_into_deltas_and_stays_what_it_was() -> None:
    text = "| Order | State |\n|---|---|\n| 17 | sent |  \n"

    answer = profile("sonnet-4.5", 1).answer(Thinking("Let me look at it first."), Text(text))

    assert answer.unstreamed is not None
    thinking, said = json.loads(answer.unstreamed.body)["content"]
    assert (thinking["thinking"], said["text"]) == ("Let me look at it first.", text)
    assert sum(part.content for part in answer.parts) > 3


def test_thinking_is_counted_and_so_is_the_input_of_a_tool() -> None:
    answer = profile("opus-4.6", 1).answer(Thinking("12345678"), ToolUse("look_up", {"order": 17}, pieces=1))

    usage = json.loads(answer.parts[-2].data.split(b"data: ")[1])["usage"]
    assert usage["output_tokens_details"] == {"thinking_tokens": 2}
    assert usage["output_tokens"] == 2 + 4
