"""What changed in a request, in the words of whoever changed it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_claude_latency.cassettes.changes import changes
from pytest_claude_latency.messages_api.exchange import Request
from tests.support.some_recording import asking

BEFORE: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "stream": True,
    "system": [{"type": "text", "text": "x" * 18_000, "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "Hi"}],
}
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-haiku-4-5/"


def saying(body: dict[str, Any], url: str = "https://api.anthropic.com/v1/messages") -> Request:
    return asking(json.dumps(body).encode(), url)


def requests(**changed: Any) -> tuple[Request, Request]:
    after = {name: value for name, value in (BEFORE | changed).items() if value is not None}
    return saying(BEFORE), saying(after)


def told(**changed: Any) -> list[str]:
    return [change.text for change in changes(*requests(**changed))]


def test_what_did_not_change_is_not_told() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "claude-opus-4-8"}, "model claude-haiku-4-5 → claude-opus-4-8: a bigger one"),
        ({"stream": None}, "`stream` is gone: the first token will come with the last"),
        ({"stream": False}, "`stream` is gone: the first token will come with the last"),
        ({"max_tokens": 1000}, "`max_tokens` 100 → 1000"),
        ({"temperature": 0.2}, "`temperature` (absent) → 0.2"),
        ({"thinking": {"type": "enabled", "budget_tokens": 20_000}}, "`thinking` is on: the answer will begin"),
        (
            {"system": [{"type": "text", "text": "x" * 90_000, "cache_control": {"type": "ephemeral"}}]},
            "prompt 18 kB → 90 kB",
        ),
        (
            {"system": [{"type": "text", "text": "x" * 18_000}]},
            "`cache_control` is gone: each call will read the whole prompt",
        ),
    ],
)
def test_one_change_is_told_with_its_size_or_what_it_means(changed: dict[str, Any], said: str) -> None:
    (text,) = told(**changed)

    assert text.startswith(said)
    assert len(f"  changed   {text}") < 80


def test_several_changes_are_told_each() -> None:
    history = [{"role": "user", "content": "word " * 400}] * 5

    assert told(messages=history, stream=None, max_tokens=200) == [
        "`stream` is gone: the first token will come with the last",
        "prompt 18 kB → 28 kB",
        "messages 1 → 5",
        "`max_tokens` 100 → 200: the answer may get longer",
    ]


@pytest.mark.parametrize(
    ("before", "after"), [("converse-stream", "converse"), ("invoke-with-response-stream", "invoke")]
)
def test_bedrock_says_in_the_path_what_changed(before: str, after: str) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    found = changes(saying(body, BEDROCK + before), saying(body, BEDROCK.replace("haiku", "opus") + after))

    assert [change.name for change in found] == ["model", "stream"]


def test_no_credential_is_shown() -> None:
    assert "hunter2" not in "".join(told(stop_sequences=["sk-ant-api03-hunter2-1"]))


@pytest.mark.parametrize(
    ("changed", "undo"),
    [
        ({"model": "claude-sonnet-4-6"}, "ask claude-haiku-4-5 again"),
        ({"stream": None}, "stream the answer again"),
        ({"thinking": {"type": "adaptive"}}, "turn `thinking` off again"),
        ({"system": [{"type": "text", "text": "x" * 18_000}]}, "mark the prompt for the cache as before"),
        (
            {"system": [{"type": "text", "text": "x" * 90_000, "cache_control": {"type": "ephemeral"}}]},
            "take out what was added",
        ),
    ],
)
def test_a_change_that_makes_everybody_wait_longer_says_what_undoes_it(changed: dict[str, Any], undo: str) -> None:
    (change,) = changes(*requests(**changed))

    assert (change.undo, change.slows) == (undo, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "claude-haiku-5-5"},
        {"model": "another-model"},
        {"max_tokens": 1000},
        {"temperature": 0.2},
        {"thinking": {"type": "disabled"}},
        {"system": [{"type": "text", "text": "x" * 25_000, "cache_control": {"type": "ephemeral"}}]},
    ],
)
def test_a_change_that_need_not_make_anybody_wait_is_not_taken_for_a_fault(changed: dict[str, Any]) -> None:
    (change,) = changes(*requests(**changed))

    assert not change.slows
