"""The remedies of the guide on reducing latency: the same assertions before and after, and a budget after."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from reduce_latency.length import explain_at_length, explain_in_short
from reduce_latency.model import summarize_with_haiku, summarize_with_sonnet
from reduce_latency.streaming import hand_over_as_it_is_written, hand_over_when_complete

from pytest_claude_latency import Latency

GUIDE_SAMPLE = Path(__file__).parents[1] / "reduce_latency" / "guide_sample.py"

FEEDBACK = (
    "I have used the coffee grinder for three weeks now. It grinds evenly and it is easy to clean, which I like. "
    "But it is so loud that I wake up the whole house every morning, and the lid has a crack already."
)

QUESTION = "The toaster I bought two weeks ago does not heat up. Can I send it back, and who pays for that?"

CONVERSATION = """\
customer: My order B-2207 came, but the blue chair is missing. There were two in the order, a blue and a green one.
desk: I am sorry! The chairs are sent as two parcels. The second one left us yesterday, with GreenParcel.
customer: I will be away from Friday on. Can my neighbour take it? Ms Okafor, number 14.
desk: I have told GreenParcel. They confirm such changes within a day.
customer: They have not yet. And the green chair has a scratch. I keep it, but I would like something off the price.
desk: A colleague who may decide that will write to you tomorrow.
"""


def ignore(piece: str) -> None:
    """Stand in for a user interface that shows the piece."""


# ── the guide's own sample ──


@pytest.mark.latency_budget(total="3s", output_tokens=100)
def test_the_guides_sample_runs_as_it_stands(claude_latency: Latency) -> None:
    message = runpy.run_path(str(GUIDE_SAMPLE))["message"]

    assert message.content[0].text
    (call,) = claude_latency.calls
    assert call.stop_reason == "end_turn"


# ── 1: the right model ──


def check_summary(summary: str) -> None:
    """What makes it a good one, however fast it was written."""
    assert summary.count(".") == 2
    assert "loud" in summary
    assert "crack" in summary


def test_before_feedback_is_summed_up_by_a_larger_model(claude_latency: Latency) -> None:
    check_summary(summarize_with_sonnet(FEEDBACK))


@pytest.mark.latency_budget(total="1.7s")
def test_after_feedback_is_summed_up_by_the_fastest_model() -> None:
    check_summary(summarize_with_haiku(FEEDBACK))


# ── 2: a short prompt, a short answer ──


def check_explanation(answer: str) -> None:
    assert "30 days" in answer
    assert "we pay" in answer.lower()


def test_before_the_policy_is_explained_at_length(claude_latency: Latency) -> None:
    check_explanation(explain_at_length(QUESTION, ignore))


@pytest.mark.latency_budget(ttft="1s", total="2s", output_tokens=100)
def test_after_the_policy_is_explained_in_short(claude_latency: Latency) -> None:
    check_explanation(explain_in_short(QUESTION, ignore))

    assert claude_latency.calls[0].stop_reason == "end_turn"  # max_tokens is a safety net, and cut nothing off


# ── 3: streaming ──


def check_handover(summary: str) -> None:
    assert "Ms Okafor" in summary
    assert "scratch" in summary


def test_before_a_conversation_is_shown_when_it_is_complete(claude_latency: Latency) -> None:
    check_handover(hand_over_when_complete(CONVERSATION, ignore))


@pytest.mark.latency_budget(ttft="1s")
def test_after_a_conversation_is_shown_as_it_is_written() -> None:
    shown: list[str] = []

    check_handover(hand_over_as_it_is_written(CONVERSATION, shown.append))

    assert len(shown) > 5
