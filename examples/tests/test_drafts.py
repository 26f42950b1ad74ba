"""Three drafts that are requested at once take as long as the slowest of them, not as long as all together."""

from __future__ import annotations

import asyncio
import unittest

import pytest
from support_desk.drafts import TONES, drafts

from pytest_claude_latency import Latency

TICKET = (
    "My desk lamp A-1077 arrived broken. You refunded it, thank you! But I would still like to have one that works."
)


@pytest.mark.latency_budget(elapsed="4s", calls=3, output_tokens=200)
def test_drafts_are_written_side_by_side() -> None:
    written = asyncio.run(drafts(TICKET))

    assert len(set(written)) == len(TONES)


def test_the_slowest_draft_decides(claude_latency: Latency) -> None:
    asyncio.run(drafts(TICKET))

    totals = [call.total for call in claude_latency.calls if call.total is not None]
    assert claude_latency.elapsed is not None
    assert max(totals) <= claude_latency.elapsed < sum(totals)


@pytest.mark.latency_budget(total="4s", calls=1)
class TestDraft(unittest.TestCase):
    def test_one_draft_is_enough_for_some(self) -> None:
        (draft,) = asyncio.run(drafts(TICKET, ["brief"]))

        assert "lamp" in draft
