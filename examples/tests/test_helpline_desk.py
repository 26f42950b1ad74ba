"""What helps the people of the helpline: labels, briefs, drafts and translations."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("fastapi")

import httpx
from helpline_client import post, visit

CONVERSATION = """\
customer: Of my order B-2207 only the green chair has come. Where is the blue one?
helpline: It is in a second parcel, with GreenParcel, since Monday.
customer: From Friday on I am away. Can a neighbour take it? And the green one has a scratch.
"""

LETTER = (
    "Your blue chair is on its way. Your neighbour at number 14 may take it. For the scratch we give you 10 euros back."
)


@pytest.mark.latency_budget(total="1.5s", calls=1)
@pytest.mark.parametrize(
    ("label", "ticket"),
    [
        ("billing", "My card was charged twice for one armchair."),
        ("shipping", "Where is my parcel with the puzzle?"),
        ("returns", "The hose leaks, I want to send it back."),
    ],
    ids=["billing", "shipping", "returns"],
)
def test_a_ticket_gets_its_label(label: str, ticket: str) -> None:
    assert post("/labels", text=ticket).json() == label


@pytest.mark.latency_budget(elapsed="1.5s")
def test_two_tickets_are_labelled_at_once() -> None:
    async def label_both(http: httpx.AsyncClient) -> list[str]:
        tickets = ("The toaster's bill has the wrong name on it.", "When does my greenhouse arrive?")
        answers = await asyncio.gather(*(http.post("/labels", json={"text": ticket}) for ticket in tickets))
        return [answer.json() for answer in answers]

    assert visit(label_both) == ["billing", "shipping"]


@pytest.mark.latency_budget(elapsed="2.2s", calls=2)
def test_a_brief_takes_as_long_as_its_longer_half() -> None:
    brief = post("/briefs", text=CONVERSATION).json()

    assert brief["queue"] == "shipping"
    assert "neighbour" in brief["summary"]


@pytest.mark.latency_budget(total="4s", calls=1, output_tokens=150)
def test_a_draft_is_one_call() -> None:
    assert "scratch" in post("/drafts", text=CONVERSATION).json()


@pytest.mark.latency_budget(elapsed="6s", connection="100ms")
def test_a_letter_goes_out_in_three_languages() -> None:
    letters = post("/translations", text=LETTER, languages=["German", "French", "Spanish"]).json()

    assert "Stuhl" in letters["German"]


@pytest.mark.latency_budget(total="1.5s")
def test_a_suggestion_comes_while_it_is_of_use() -> None:
    assert "parcel" in post("/suggestions", text="We are sorry that").json()
