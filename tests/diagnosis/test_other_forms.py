"""Findings about calls of Converse and of chat completions: the same as about the Messages API, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_claude_latency.diagnosis.rules import find
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace
from pytest_claude_latency.messages_api.exchange import Exchange
from tests.support.other_forms import chat, converse

ASKED = {"content": "Describe the order in 50 words.", "role": "user"}
CONVERSE_BODY: dict[str, Any] = {
    "system": [{"text": "Be brief."}],
    "inferenceConfig": {"maxTokens": 300, "temperature": 0.9},
    "messages": [{"role": "user", "content": [{"text": ASKED["content"]}]}],
}
CHAT_BODY: dict[str, Any] = {
    "max_tokens": 300,
    "temperature": 0.9,
    "messages": [{"role": "system", "content": "Be brief."}, ASKED],
}


def of_converse(stop: str = "end_turn", output: int = 300, prompt: int = 20, **body: Any) -> Exchange:
    answer = {"output": {"message": {"content": [{"text": "It is blue. " * 60}]}}, "stopReason": stop}
    usage = {"inputTokens": prompt, "outputTokens": output}
    return converse((9000, json.dumps(answer | {"usage": usage}).encode()), stream=False, **{**CONVERSE_BODY, **body})


def of_chat(stop: str = "stop", output: int = 300, prompt: int = 20, **body: Any) -> Exchange:
    choice = {"message": {"content": "It is blue. " * 60}, "finish_reason": stop}
    usage = {"prompt_tokens": prompt, "completion_tokens": output}
    answer = json.dumps({"choices": [choice], "usage": usage}).encode()
    return chat((9000, answer), stream=False, **{**CHAT_BODY, **body})


def rules(exchange: Exchange) -> set[str]:
    return {finding.rule for finding in find(Trace.of([(exchange,)]))}


def call(exchange: Exchange) -> PromptCall:
    (only,) = Trace.of([(exchange,)]).calls
    return only


@pytest.mark.parametrize(
    ("cut_off", "whole"),
    [(of_converse("max_tokens"), of_converse()), (of_chat("length"), of_chat())],
    ids=["converse", "chat"],
)
def test_an_answer_that_its_own_limit_ended_is_found(cut_off: Exchange, whole: Exchange) -> None:
    assert "cut-off" in rules(cut_off)
    assert "cut-off" not in rules(whole)
    assert (call(cut_off).ended_by_itself, call(whole).ended_by_itself) == (False, True)


@pytest.mark.parametrize("exchange", [of_converse(), of_chat()], ids=["converse", "chat"])
def test_what_a_prompt_asks_for_is_read_in_each_form(exchange: Exchange) -> None:
    found = rules(exchange)

    assert {"not-streamed", "counted-words", "high-temperature"} <= found
    assert not call(exchange).thinks


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (of_converse(), of_converse(system=[{"text": "Be kind."}])),
        (of_chat(), of_chat(messages=[{"role": "system", "content": "Be kind."}, ASKED])),
    ],
    ids=["converse", "chat"],
)
def test_calls_with_other_system_prompts_do_other_work(one: Exchange, other: Exchange) -> None:
    assert call(one).work != call(other).work


def test_a_format_for_programs_and_thinking_are_seen_in_each_form() -> None:
    formatted = of_chat(response_format={"type": "json_schema", "json_schema": {}})
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2048}}

    assert not call(formatted).is_prose
    assert call(of_chat(response_format={"type": "text"})).is_prose
    assert call(of_chat(reasoning_effort="high")).thinks
    assert not call(of_chat(reasoning_effort="none")).thinks
    assert call(of_converse(additionalModelRequestFields=thinking)).thinks


def test_a_body_that_is_no_object_has_no_findings_of_its_own() -> None:
    assert call(converse((9000, b"{}"), stream=False, messages=7)).body == {"messages": 7}
