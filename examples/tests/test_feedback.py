"""A budget for the call that the guide on reducing latency shows."""

from __future__ import annotations

import pytest
from support_desk.feedback import summarize_feedback

FEEDBACK = (
    "The kettle is lovely and quiet, and it looks good in our kitchen. But the parcel came four days late, "
    "nobody answered my first mail, and the box was dented. I would order again if shipping were reliable."
)


@pytest.mark.latency_budget(total="3s", output_tokens=100)
def test_feedback_is_summed_up_while_its_reader_waits() -> None:
    summary = summarize_feedback(FEEDBACK)

    assert summary.count(".") == 2
    assert "late" in summary
