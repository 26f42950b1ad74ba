"""Tickets are sorted before a person sees them: each kind has its own budget, closest marker first."""

from __future__ import annotations

import pytest
from support_desk.triage import queue_for

pytestmark = pytest.mark.latency_budget(total="2s", output_tokens=8)


@pytest.mark.parametrize(
    ("ticket", "queue"),
    [
        pytest.param("I was charged twice for order A-1042.", "billing", id="billing"),
        pytest.param("Where is my parcel? It was due on Monday.", "shipping", id="shipping"),
        pytest.param(
            "The lamp flickers, I want to send it back TODAY or I call my lawyer.",
            "returns",
            id="urgent",
            marks=pytest.mark.latency_budget(total="1500ms"),
        ),
    ],
)
def test_a_ticket_finds_its_queue(ticket: str, queue: str) -> None:
    assert queue_for(ticket) == queue
