"""An agent asks Claude, looks an order up, and asks again: the customer waits for all of it."""

from __future__ import annotations

import pytest
from support_desk.agent import reply

from pytest_claude_latency import Latency


@pytest.mark.latency_budget(ttft="2500ms", elapsed="8s", calls=2)
class TestReply:
    def test_a_question_about_an_order_takes_one_look_up(self) -> None:
        shown: list[str] = []

        answer = reply("Where is my order A-1042?", shown.append)

        assert "Thursday" in answer
        assert "".join(shown).endswith(answer)

    @pytest.mark.latency_budget(calls=1, elapsed="5s")
    def test_a_greeting_takes_none(self, claude_latency: Latency) -> None:
        answer = reply("Hello! When are you open?", lambda piece: None)

        assert "nine" in answer
        assert claude_latency.calls[0].stop_reason == "end_turn"
