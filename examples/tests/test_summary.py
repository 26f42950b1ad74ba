"""A summary is read while it is written: what counts is when it begins, and that it does not stall."""

from __future__ import annotations

import pytest
from support_desk.summary import summarize

from pytest_claude_latency import Latency

CONVERSATION = """\
customer: My order A-1042 has not come.
desk: I am sorry! It left us on Monday, with GreenParcel.
customer: Their page says "address unknown". I live here since 1998!
desk: I have sent them your address again. It should reach you by Thursday.
customer: If it is not here by then I want my money back.
"""


@pytest.mark.latency_budget(ttft="1s", longest_gap="500ms", total="4s", calls=1)
def test_a_summary_begins_at_once_and_keeps_coming() -> None:
    shown: list[str] = []

    summary = summarize(CONVERSATION, shown.append)

    assert "Thursday" in summary
    assert "".join(shown) == summary
    assert len(shown) > 5


def test_a_summary_is_measured_from_outside_too(claude_latency: Latency) -> None:
    with claude_latency.budget(ttft="1s", output_tokens_per_second=40):
        summarize(CONVERSATION, lambda piece: None)

    (call,) = claude_latency.calls
    assert call.streamed
    assert call.stop_reason == "end_turn"
