"""All ways to call the API with the SDK, sync and async: a replay shows the program what was recorded."""

from __future__ import annotations

import json
from textwrap import dedent, indent
from typing import Any

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_answers import Answer, Part, count_tokens, json_answer
from tests.support.claude_messages import text, tool_use

ASKED = 'model="claude-haiku-4-5", max_tokens=100, messages=messages("hi")'

WHOLE = {
    "create": f"return (await client.messages.create({ASKED})).to_dict()",
    "beta create": f"return (await client.beta.messages.create({ASKED}, betas=['a-beta'])).to_dict()",
    "raw response": f"""
        raw = await client.messages.with_raw_response.create({ASKED})
        return [raw.status_code, raw.headers["request-id"], (await maybe(raw.parse())).to_dict()]
    """,
    "with options": f"""
        client = client.with_options(timeout=9, max_retries=1, default_headers={{"x-mine": "1"}})
        return (await client.messages.create({ASKED})).to_dict()
    """,
    "streaming response, not streamed": f"""
        async with client.messages.with_streaming_response.create({ASKED}) as raw:
            return json.loads(b"".join([part async for part in raw.iter_bytes()]))
    """,
}

STREAMED = {
    "create": f"""
        answer = await client.messages.create({ASKED}, stream=True)
        return [event.to_dict() async for event in answer]
    """,
    "create, as a context": f"""
        async with await client.messages.create({ASKED}, stream=True) as answer:
            return [event.to_dict() async for event in answer]
    """,
    "text stream": f"""
        async with client.messages.stream({ASKED}) as answer:
            return [text async for text in answer.text_stream]
    """,
    "final message": f"""
        async with client.messages.stream({ASKED}) as answer:
            return (await answer.get_final_message()).to_dict()
    """,
    "final text": f"""
        async with client.messages.stream({ASKED}) as answer:
            return await answer.get_final_text()
    """,
    "until done": f"""
        async with client.messages.stream({ASKED}) as answer:
            await answer.until_done()
            return answer.current_message_snapshot.to_dict()
    """,
    "events": f"""
        async with client.messages.stream({ASKED}) as answer:
            return [getattr(event, "text", event.type) async for event in answer]
    """,
    "beta create": f"""
        answer = await client.beta.messages.create({ASKED}, stream=True, betas=["a-beta"])
        return [event.to_dict() async for event in answer]
    """,
    "beta stream": f"""
        async with client.beta.messages.stream({ASKED}) as answer:
            return (await answer.get_final_message()).to_dict()
    """,
    "raw response": f"""
        raw = await client.messages.with_raw_response.create({ASKED}, stream=True)
        return [event.to_dict() async for event in await maybe(raw.parse())]
    """,
    "streaming response": f"""
        async with client.messages.with_streaming_response.create({ASKED}, stream=True) as raw:
            return [line async for line in raw.iter_lines()]
    """,
}

OTHER = {
    "count tokens": f"return (await client.messages.count_tokens({ASKED.replace('max_tokens=100, ', '')})).to_dict()",
    "models": "return [model.id for model in (await client.models.list()).data]",
    "batches": """
        request = {"custom_id": "one", "params": {"model": "m", "max_tokens": 9, "messages": messages("hi")}}
        batch = await client.messages.batches.create(requests=[request])
        return (await client.messages.batches.retrieve(batch.id)).processing_status
    """,
    "batch results": """
        results = await client.messages.batches.results("msgbatch_1")
        return [result.custom_id async for result in results]
    """,
    "a file's bytes": 'return (await (await client.beta.files.download("file_1")).read()).hex()',
    "files": 'return (await client.beta.files.upload(file=("note.txt", b"a note", "text/plain"))).id',
}

SOURCE = """
import json, inspect


async def maybe(value):
    return await value if inspect.isawaitable(value) else value


def synchronous(client):
{synchronous}


async def asynchronous(client):
{asynchronous}


async def run():
    async with anthropic.AsyncAnthropic() as client:
        return await asynchronous(client)


def test_it(claude_latency, claude_client):
    save_result([synchronous(claude_client), asyncio.run(run())])
"""


def _same_in_a_replay(suite: Suite, act: str) -> tuple[Any, Any]:
    """What a sync and an async client see, which is the same in both runs. `act` is written for the async client."""
    act = indent(dedent(act).strip(), "    ")
    sync = act.replace("async with await ", "with ").replace("async with", "with").replace("async for", "for")
    sync = sync.replace("await maybe(raw.parse())", "raw.parse()").replace("await ", "")
    suite.write(SOURCE.format(asynchronous=act, synchronous=sync))
    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result
    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == recorded
    seen_by_sync, seen_by_async = recorded
    return seen_by_sync, seen_by_async


@pytest.mark.parametrize("act", WHOLE.values(), ids=WHOLE)
def test_an_answer_that_is_not_streamed(suite: Suite, act: str) -> None:
    seen = _same_in_a_replay(suite, act)

    for answer, call in zip(seen, suite.calls("test_it"), strict=True):
        assert "Hello world" in json.dumps(answer)
        assert call["streamed"] is False
        assert call["ttft"] == call["total"] >= 0.01


@pytest.mark.parametrize("act", STREAMED.values(), ids=STREAMED)
def test_a_streamed_answer(suite: Suite, act: str) -> None:
    seen = _same_in_a_replay(suite, act)

    for answer, call in zip(seen, suite.calls("test_it"), strict=True):
        assert "Hello wor" in json.dumps(answer)
        assert call["streamed"] is True
        assert call["closed"] is None
        assert 0.007 <= call["ttft"] < call["total"]


@pytest.mark.parametrize("act", OTHER.values(), ids=OTHER)
def test_what_is_no_prompt_call_is_replayed_and_takes_its_time(suite: Suite, act: str) -> None:
    suite.server.answers(lambda request: _elsewhere(request.path, suite.server.url))

    _same_in_a_replay(suite, act)

    assert suite.calls("test_it") == []
    assert suite.test("test_it")["elapsed"] >= 0.010


def _elsewhere(path: str, server: str) -> Answer | None:
    """The answers of the API on paths other than that of messages, 5 ms after the request."""
    results = f"{server}/v1/messages/batches/msgbatch_1/results"
    batch = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended", "results_url": results}
    moments = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
    counts = {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
    model = {"type": "model", "id": "claude-haiku-4-5", "display_name": "Claude", "created_at": "2026-01-01T00:00:00Z"}
    page = {"data": [model], "has_more": False, "first_id": None, "last_id": None}
    if "count_tokens" in path:
        return count_tokens(7, ttfb="5ms")
    if path.endswith("/results"):
        result = {"custom_id": "one", "result": {"type": "canceled"}}
        return json_answer(result, ttfb="5ms")
    if path.endswith("/content?beta=true"):
        return Answer(
            headers=(("content-type", "application/octet-stream"),), ttfb=5_000_000, parts=(Part(b"\xff\x00"),)
        )
    if "batches" in path:
        return json_answer({**batch, **moments, "request_counts": counts}, ttfb="5ms")
    if "models" in path:
        return json_answer(page, ttfb="5ms")
    return json_answer({"type": "file", "id": "file_1", "filename": "note.txt", **moments}, ttfb="5ms")


def test_a_program_that_breaks_off_early_closes_its_call(suite: Suite) -> None:
    suite.server.answers(lambda request: text("one|two|three", gaps=["5ms", "5ms", "2s"]))
    act = f"""
        async with client.messages.stream({ASKED}) as answer:
            async for text in answer.text_stream:
                return text
    """

    seen = _same_in_a_replay(suite, act)

    assert seen == ("one", "one")
    for call in suite.calls("test_it"):
        assert call["closed"] == "client"
        assert call["total"] < 1


TOOL_RUNNER = f"""
        def find(order: str) -> str:
            return order + " is on its way"

        async def afind(order: str) -> str:
            return order + " is on its way"

        facts = dict(name="look_up", description="Find an order", input_schema={{
            "type": "object", "properties": {{"order": {{"type": "string"}}}}, "required": ["order"]
        }})
        tool = anthropic.beta_tool(find, **facts)
        if isinstance(client, anthropic.AsyncAnthropic):
            tool = anthropic.beta_async_tool(afind, **facts)
        return [message.to_dict() async for message in client.beta.messages.tool_runner({ASKED}, tools=[tool])]
"""


def test_the_tool_runner_makes_a_call_for_each_turn(suite: Suite) -> None:
    turns = (tool_use("look_up", {"order": "A-1"}, gaps=["5ms"]), text("On its |way"))
    suite.server.answer(*turns, *turns)

    seen = _same_in_a_replay(suite, TOOL_RUNNER)

    calls = suite.calls("test_it")
    for answer, first, second in zip(seen, calls[::2], calls[1::2], strict=True):
        assert "On its way" in json.dumps(answer)
        assert first["stop_reason"] == "tool_use"
        assert second["sent"] >= first["sent"] + first["total"]
