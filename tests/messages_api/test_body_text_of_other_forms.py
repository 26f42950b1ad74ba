"""The texts of Converse and of chat completions are joined, searched and rewritten like those of the Messages API."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from pytest_claude_latency.cassettes.redaction import redact
from pytest_claude_latency.cassettes.secrets import find_credentials
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.aws_event_stream import Decoder
from pytest_claude_latency.messages_api.body_text import body_texts
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.messages_api.quotes import quotes_an_answer
from pytest_claude_latency.metrics.timeline import measure
from tests.support.other_forms import DONE, STOPPED, chat, chunk, converse, delta, event
from tests.support.some_recording import asking, recording

MAIL = (re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+"),)
SAID = ("I am an", "na@example.com", " from Köln")
TOLD = converse(*((400 + place * 50, delta(text=text)) for place, text in enumerate(SAID)), (600, STOPPED))
CHATTED = chat(
    *((400 + place * 50, chunk(content=text)) for place, text in enumerate(SAID)), (600, chunk("stop")), (601, DONE)
)
BOTH = pytest.mark.parametrize("exchange", [TOLD, CHATTED], ids=["converse", "chat"])


def bytes_of(exchange: Exchange) -> bytes:
    return b"".join(chunk.data for chunk in exchange.chunks)


@BOTH
def test_a_match_that_is_spread_over_deltas_is_redacted_and_every_number_stays(exchange: Exchange) -> None:
    (redacted,) = redact(recording(exchange), MAIL).exchanges

    assert read(redacted).blocks == [{"type": "text", "text": "I am [redacted] from Köln"}]
    assert measure([redacted]) == measure([exchange])
    assert redact(recording(redacted), MAIL).exchanges == (redacted,)


def test_only_the_frames_that_change_are_written_anew() -> None:
    (redacted,) = redact(recording(TOLD), MAIL).exchanges

    assert [before == after for before, after in zip(TOLD.chunks, redacted.chunks, strict=True)] == [
        False,
        False,
        True,
        True,
    ]
    assert [sent.name for sent in Decoder(bare=True).feed(bytes_of(redacted))] == ["contentBlockDelta"] * 3 + [
        "messageStop"
    ]


def test_the_end_of_a_stream_of_chat_is_no_text() -> None:
    (redacted,) = redact(recording(CHATTED), (re.compile("DONE|stop"),)).exchanges

    assert redacted == CHATTED


def test_the_input_of_a_tool_is_searched_as_json() -> None:
    pieces = ('{"mail": "anna', '@example.com"}')
    of_converse = converse(
        *((400 + place, delta(2, toolUse={"input": text})) for place, text in enumerate(pieces)), (500, STOPPED)
    )
    of_chat = chat(
        *(
            (400 + place, chunk(tool_calls=[{"index": 1, "function": {"arguments": text}}]))
            for place, text in enumerate(pieces)
        ),
        (500, chunk("tool_calls")),
    )

    for exchange in (of_converse, of_chat):
        (redacted,) = redact(recording(exchange), MAIL).exchanges
        (tool,) = read(redacted).blocks
        assert json.loads(tool["input"]) == {"mail": "[redacted]"}


@BOTH
def test_a_key_that_is_split_over_deltas_is_found(exchange: Exchange) -> None:
    pieces = ("my key is sk-ant-", "api03-Zm9vYmFy", "0123456789")
    if exchange is TOLD:
        leaking = converse(*((400 + place, delta(text=text)) for place, text in enumerate(pieces)))
        where = "exchange 1, answer, content block 0: an Anthropic key"
    else:
        leaking = chat(*((400 + place, chunk(content=text)) for place, text in enumerate(pieces)))
        where = "exchange 1, answer, choice 0: an Anthropic key"

    assert where in [str(finding) for finding in find_credentials(recording(leaking))]


def test_the_text_of_an_exception_in_a_stream_is_searched_too() -> None:
    leaking = converse((400, event("metadata", trace={"note": "sk-ant-api03-Zm9vYmFy0123456789"})))

    assert "an Anthropic key" in str(find_credentials(recording(leaking))[0])


@BOTH
def test_a_later_request_that_repeats_an_answer_is_a_quote(exchange: Exchange) -> None:
    later = asking(json.dumps({"messages": ["She is anna@example.com from Köln, she says"]}).encode())

    assert quotes_an_answer(later, 10**9, [exchange])
    assert not quotes_an_answer(replace(later, content=b'{"messages": ["Hello"]}'), 10**9, [exchange])


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices": [7, {"delta": 7}, {"delta": {"tool_calls": [{"function": {"arguments": "x"}}]}}]}\n\n',
        b'data: {"type": ["a"], "index": 1, "contentBlockIndex": 0, "delta": "x"}\n\n',
        b'data: {"contentBlockIndex": 0, "delta": {"text": {"a": "b"}}}\n\ndata: [DONE]',
        event("contentBlockDelta", contentBlockIndex=0, delta="x") + b"\0\0",
    ],
)
def test_no_shape_of_an_event_is_a_crash(body: bytes) -> None:
    assert [text.text for text in body_texts(body)]
