"""Converse and chat completions, recorded over real sockets and replayed: the same numbers, offline, closed."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from pytest_claude_latency.messages_api.exchange import Request
from tests.plugin.suite import Suite, whole_lines
from tests.support.aws_frames import exception
from tests.support.claude_answers import Answer, Part
from tests.support.other_forms import AWS_STREAM, CHAT_USAGE, DONE, STOPPED, USAGE, chunk, delta

GAP = 20_000_000
CONVERSED = (
    delta(reasoningContent={"text": "Hm."}),
    delta(1, text="Grüße "),
    delta(1, text="aus Köln"),
    STOPPED,
    USAGE,
)
CHATTED = (
    chunk(content="", role="assistant"),
    chunk(reasoning_content="Hm."),
    chunk(content="Grüße "),
    chunk(content="aus Köln"),
    chunk("stop"),
    CHAT_USAGE,
    DONE,
)
SEND = """
import httpx

PATH = {path!r}
BODY = {body!r}


@pytest.mark.latency_budget(ttft="5s")
def test_it(claude_latency):
    base = os.environ.get("ANTHROPIC_BASE_URL", "https://bedrock-runtime.eu-west-1.amazonaws.com")
    with httpx.Client() as client, client.stream("POST", base + PATH, json=BODY) as answer:
        assert b"".join(answer.iter_bytes())
"""
CONVERSE = "/model/eu.anthropic.claude-haiku-4-5-v1:0/converse-stream"
FORMS: dict[str, tuple[str, dict[str, Any], str, tuple[bytes, ...]]] = {
    "converse": (CONVERSE, {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, AWS_STREAM, CONVERSED),
    "chat": (
        "/v1/chat/completions",
        {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        "text/event-stream",
        CHATTED,
    ),
}


def answering(suite: Suite, content_type: str, pieces: tuple[bytes, ...]) -> None:
    def answer(request: Request) -> Answer:
        parts = tuple(Part(piece, gap=GAP) for piece in pieces)
        return Answer(headers=(("content-type", content_type), ("x-amzn-requestid", "r-1")), ttfb=GAP, parts=parts)

    suite.server.answers(answer)


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_is_recorded_and_replayed_with_the_same_numbers(suite: Suite, form: str) -> None:
    path, body, content_type, pieces = FORMS[form]
    answering(suite, content_type, pieces)
    suite.write("import os\n" + SEND.format(path=path, body=body))
    suite.record().assert_outcomes(passed=1)
    (recorded,), asked = suite.calls("test_it"), len(suite.server.requests)

    suite.replay().assert_outcomes(passed=1)

    (replayed,) = suite.calls("test_it")
    for name in ("ttfb", "ttft", "ttfa", "total", "longest_gap"):
        assert replayed[name] == pytest.approx(recorded[name], abs=0.005), name
    assert replayed["total"] < recorded["ttft"] + GAP * 4 / 1e9 * 3
    assert [replayed[name] for name in ("streamed", "prompt_tokens", "output_tokens", "error")] == [True, 920, 11, None]
    assert replayed["model"].startswith(("claude-haiku-4-5", "eu.anthropic.claude-haiku-4-5"))
    assert len(suite.server.requests) == asked
    (name,) = suite.recordings()
    assert "x-amzn-requestid" in (suite.path / name).read_text()


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_prompt_is_a_miss(suite: Suite, form: str) -> None:
    path, body, content_type, pieces = FORMS[form]
    answering(suite, content_type, pieces)
    suite.write("import os\n" + SEND.format(path=path, body=body))
    suite.record().assert_outcomes(passed=1)
    suite.write("import os\n" + SEND.format(path=path, body=body).replace("'hi'", "'hello'"))

    result = suite.replay()

    result.assert_outcomes(failed=1)
    whole_lines(result).fnmatch_lines([NOTHING_FITS.format(request=f"POST {path}"), "*messages[[]0].content*"])


def test_an_exception_in_a_stream_of_converse_is_the_error_of_the_call(suite: Suite) -> None:
    path, body, content_type, pieces = FORMS["converse"]
    answering(suite, content_type, (*pieces[:2], exception("throttlingException", "Too many tokens")))
    suite.write("import os\n" + SEND.format(path=path, body=body))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    (call,) = suite.calls("test_it")
    assert call["error"] == "throttlingException"
    assert call["ttft"] is not None


@pytest.mark.parametrize("form", FORMS)
def test_a_pattern_is_redacted_inside_each_form(suite: Suite, form: str) -> None:
    path, body, content_type, pieces = FORMS[form]
    answering(suite, content_type, pieces)
    suite.ini("latency_redact = Grüße aus")
    suite.write("import os\n" + SEND.format(path=path, body=body))
    suite.record().assert_outcomes(passed=1)
    (recorded,) = suite.calls("test_it")

    suite.replay().assert_outcomes(passed=1)

    (replayed,) = suite.calls("test_it")
    assert replayed["longest_gap"] == pytest.approx(recorded["longest_gap"], abs=0.005)
    assert replayed["output_tokens"] == 11
