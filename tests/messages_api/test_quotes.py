"""Whether a request repeats what an earlier answer said first."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.messages_api.exchange import Chunk, Exchange, Request
from pytest_claude_latency.messages_api.quotes import quotes_an_answer
from tests.support.claude_answers import Answer
from tests.support.claude_messages import text, thinking, tool_use
from tests.support.some_recording import answering, asking

LONG = "The parcel left the warehouse in Hamburg on Tuesday and arrives tomorrow."
TOOL = tool_use("get_weather", {"city": "Llanfairpwllgwyngyll"})


def saying(*content: Any, **more: Any) -> Request:
    messages = [{"role": "user", "content": text} for text in content]
    return asking(json.dumps({"model": "claude-haiku-4-5", "messages": messages, **more}).encode())


def answered(answer: Answer, request: Request, *, streamed: bool = True) -> Exchange:
    """The exchange that this request and answer make, over within ten milliseconds."""
    body = answer.body if streamed or answer.unstreamed is None else answer.unstreamed.body
    return replace(answering(request=request), chunks=(Chunk(8 * MILLISECOND, body),))


def quotes(answer: Answer, *later: Any, first: str = "hi", streamed: bool = True, sent: int = 20, **more: Any) -> bool:
    return quotes_an_answer(
        saying(*later, **more), sent * MILLISECOND, [answered(answer, saying(first), streamed=streamed)]
    )


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("answer", "later"),
    [
        (text(LONG.replace(" ", "| ")), f"Shorter: {LONG}"),
        (text(LONG), "Is it true that it left the warehouse in Hamburg on Tuesday?"),
        (text("billing error"), "Reply to a customer about a billing error"),
        (TOOL, [{"type": "tool_result", "tool_use_id": "toolu_01A09q90qw90lq917835lq9", "content": "17 °C"}]),
        (TOOL, "How far is Llanfairpwllgwyngyll?"),
        (
            thinking("Let me think", "ok"),
            [{"type": "thinking", "thinking": "", "signature": "EqQBCgIYAhIkMzE0MTU5MjY1MzU4OTc5"}],
        ),
    ],
    ids=["all of it", "a part", "a short answer", "an id", "the input of a tool", "a signature"],
)
def test_a_request_that_repeats_an_answer_quotes_it(answer: Answer, later: Any, streamed: bool) -> None:
    assert quotes(answer, "hi", later, streamed=streamed)


@pytest.mark.parametrize(
    ("answer", "later"),
    [
        (text(LONG), "Where is the parcel?"),
        (text("yes"), "yes or no?"),
        (text("-" * 60), "A line: " + "-" * 60),
        (TOOL, "get_weather"),
    ],
    ids=["one word", "too short", "no words", "a name that the prompt gave"],
)
def test_what_anybody_may_write_is_no_quote(answer: Answer, later: str) -> None:
    assert not quotes(answer, later, first="Call get_weather")


@pytest.mark.parametrize(
    ("answer", "later", "is_quote"),
    [
        ("yes", "Answer yes or no: is it spam?", False),
        ("It is one of the best that we have.", "Is it one of the usual kind?", False),
        ("The buyer is Ada Lovelace of London.", "Write a letter to Lovelace.", True),
        ("That is order 1042.", "Where is 1042?", True),
        ("Where is it?", "Where to?", False),
        ('{"kind": "refund", "urgent": false}', "Draft a reply about a refund.", True),
    ],
    ids=["a short answer by chance", "small words by chance", "a name", "a number", "a capital", "a value of JSON"],
)
def test_where_the_two_rules_of_before_disagreed_one_decides(answer: str, later: str, is_quote: bool) -> None:
    assert quotes(text(answer), later) is is_quote


def test_in_chinese_fewer_characters_make_a_quote() -> None:
    assert quotes(text("客户想要退款并且很生气"), "回复\uff1a客户想要退款")
    assert not quotes(text("客户想要退款并且很生气"), "客户想要什么")


def test_an_endless_word_takes_no_time() -> None:
    assert not quotes(text("a" * 300_000), "hello", first="hi")


def test_what_the_program_said_first_is_no_quote() -> None:
    assert quotes(text(LONG), f"Translate: {LONG}")
    assert not quotes(text(LONG), f"Translate: {LONG}", first=f"Repeat: {LONG}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "claude-haiku-4-5", "stop_reason": "end_turn", "usage": {"service_tier": "standard"}}',
        b'data: {"type": "message_start", "message": {"usage": {"service_tier": "standard"}}}\n\n',
    ],
)
def test_the_words_of_the_api_are_no_quote(body: bytes) -> None:
    request = saying("standard, end_turn or claude-haiku-4-5?")

    assert not quotes_an_answer(request, 20 * MILLISECOND, [answering(body, request=saying("hi"))])


def test_an_answer_that_had_not_come_yet_is_not_quoted() -> None:
    assert quotes(text(LONG), LONG, sent=8)
    assert not quotes(text(LONG), LONG, sent=7)
