"""What customers notice of a bad day of the API: as little as possible."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi")

from helpline_client import post


@pytest.mark.latency_budget(elapsed="2.5s")
def test_a_late_suggestion_is_left_out() -> None:
    assert post("/suggestions", text="Thank you for your patience, and").json() is None


@pytest.mark.latency_budget(elapsed="1s", calls=1, attempts=1)
def test_a_busy_api_is_told_at_once() -> None:
    answer = post("/urgent", text="The fire bowl I bought from you is on fire!")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"


@pytest.mark.latency_budget(elapsed="2s")
def test_an_urgent_ticket_is_known_as_one() -> None:
    assert post("/urgent", text="Water runs out of the juicer, over the cables!").json() is True


@pytest.mark.latency_budget(elapsed="3s", calls=2)
def test_an_answer_that_is_late_is_asked_for_again() -> None:
    assert "Thursday" in post("/answers", text="When does a raised bed leave the warehouse?").json()


@pytest.mark.latency_budget(elapsed="1.5s")
def test_an_answer_in_time_is_asked_for_once() -> None:
    assert "ten" in post("/answers", text="For how long do you keep parts of a globe?").json()


@pytest.mark.latency_budget(elapsed="3s", calls=2)
def test_a_refund_is_decided_by_whichever_model_is_free() -> None:
    assert "refund" in post("/refunds", text="The swing broke on its first day.").json()
