"""A customer reads along: what counts is when the first words are shown, and that more keep coming."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("fastapi")

import httpx
from helpline.api import app
from helpline_client import post, visit

from pytest_claude_latency import Latency

KETTLE = "Can I send my kettle back? It is too loud for me."
LAMP = "My desk lamp flickers. I have had it for a year. What can you do?"
LATER = "And who pays for the parcel?"


@pytest.mark.latency_budget(ttft="700ms", calls=1)
def test_the_first_words_are_shown_soon(claude_latency: Latency) -> None:
    shown = claude_latency.watch(app, ttft="700ms", longest_gap="600ms")

    answer = post("/chat", shown, department="kitchen", questions=[KETTLE])

    assert "30 days" in answer.text


@pytest.mark.latency_budget(first_token="1.2s", longest_gap="600ms", total="3s")
def test_an_answer_keeps_coming() -> None:
    answer = post("/chat", department="lighting", questions=[LAMP])

    assert "repair" in answer.text


@pytest.mark.latency_budget(prompt_tokens=6000, output_tokens=200, cost=0.008)
def test_an_answer_reads_one_chapter_only() -> None:
    answer = post("/chat", department="toys", questions=["Where do I get a new wheel for my scooter?"])

    assert "number" in answer.text


@pytest.mark.latency_budget(ttft="1s", call=2)
@pytest.mark.latency_budget(cache_read_tokens=4000, call=2)
def test_a_second_question_finds_the_chapter_in_the_cache() -> None:
    async def ask_twice(http: httpx.AsyncClient) -> str:
        await http.post("/chat", json={"department": "kitchen", "questions": [KETTLE]})
        second = await http.post("/chat", json={"department": "kitchen", "questions": [KETTLE, LATER]})
        return second.text

    assert "postage" in visit(ask_twice)


@pytest.mark.latency_budget(longest_gap="600ms", total="3s")
def test_a_chat_goes_on_while_a_note_is_saved() -> None:
    async def chat_and_note(http: httpx.AsyncClient) -> tuple[str, int]:
        async def note() -> int:
            await asyncio.sleep(0.6)
            saved = await http.post("/notes/A-1042", json={"text": "asked for her money back"})
            return int(saved.text)

        chat = http.post("/chat", json={"department": "garden", "questions": ["My parasol came without its foot."]})
        answer, notes = await asyncio.gather(chat, note())
        return answer.text, notes

    text, notes = visit(chat_and_note)

    assert "foot" in text
    assert notes == 1
