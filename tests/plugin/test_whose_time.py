"""Whose time it was: what a program took late, and what held an event loop, is never told as the API's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.messages_api.exchange import Exchange
from tests.plugin.suite import Suite
from tests.support.claude_messages import text
from tests.support.some_recording import recording
from tests.support.written_calls import streamed

STEADY = [(400 + 50 * place, "text", f"w{place} ") for place in range(40)]  # its last piece at 2.350 s


def asked(prompt: str = "hi", pieces: Sequence[tuple[float, str, str]] | None = None) -> Exchange:
    """What `stream` and `astream` of the suite's application send, answered piece by piece."""
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": prompt}], "model": "claude-haiku-4-5"}
    content = json.dumps(body | {"stream": True}).encode()
    made = streamed(pieces=STEADY if pieces is None else pieces)
    return replace(made, request=replace(made.request, content=content))


def replayed(suite: Suite, test: str, *exchanges: Exchange) -> dict[str, Any]:
    """Replay a test `test_it` with these answers, and return its entry in the JSON report."""
    suite.write(test)
    path = suite.path / "cassettes" / "test_it" / "test_it.1.jsonl"
    replace(recording(*(exchanges or (asked(),))), test="test_it.py::test_it").save(path)
    suite.run("--latency-explain")
    entry: dict[str, Any] = suite.report["tests"][0]
    return entry


def findings(entry: dict[str, Any]) -> dict[str, str]:
    return {finding["rule"]: finding["fact"] for finding in entry["findings"]}


BESIDE = """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it():
    async def save():
        await asyncio.sleep(0.9)
        {hold}

    async def tick():
        await asyncio.sleep(1.5)

    lock = __import__("threading").Lock()
    await asyncio.gather(astream(), save(), tick())
"""


def test_a_sleep_beside_a_stream_is_a_blocked_loop_and_no_stall(suite: Suite) -> None:
    entry = replayed(suite, BESIDE.format(hold="time.sleep(1.2)"))

    assert findings(entry)["blocked-loop"].startswith(
        "the event loop stood still for 1.200s in time.sleep at test_it.py:11 in save; due meanwhile: "
        "the next part of the call, "
    )
    assert "tick" in findings(entry)["blocked-loop"]
    assert "stall" not in findings(entry)
    assert entry["calls"][0]["breakdown"]["application"] == pytest.approx(1.15)
    assert sum(entry["calls"][0]["breakdown"].values()) == pytest.approx(entry["calls"][0]["total"])


def test_a_sync_client_in_an_event_loop_is_named(suite: Suite) -> None:
    first, second = asked(), replace(asked("again"), sent=900_000_000)
    entry = replayed(suite, BESIDE.format(hold='stream("again")'), first, second)

    fact = findings(entry)["blocked-loop"]
    where = "in a sync client at app.py:22 in stream"
    assert fact.startswith(f"the event loop stood still for 2.350s {where}; due meanwhile: ")


@pytest.mark.parametrize(
    ("hold", "what"),
    [
        ("__import__('threading').Event().wait(1.2)", "Event.wait"),
        ("lock.acquire(); lock.acquire(timeout=1.2)", "Lock.acquire"),
    ],
    ids=["an event", "a plain lock"],
)
def test_other_waits_that_block_the_loop_are_named(suite: Suite, hold: str, what: str) -> None:
    entry = replayed(suite, BESIDE.format(hold=hold))

    assert f"stood still for 1.200s in {what} at test_it.py:11 in save" in findings(entry)["blocked-loop"]


def test_a_sleep_between_the_pieces_of_its_own_stream_blocks_the_loop(suite: Suite) -> None:
    test = """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it(async_claude_client):
    asked = {"messages": messages("hi"), "model": "claude-haiku-4-5", "max_tokens": 100}
    async with async_claude_client.messages.stream(**asked) as answer:
        async for text in answer.text_stream:
            time.sleep(0.1)
"""
    entry = replayed(suite, test)

    assert entry["calls"][0]["total"] == pytest.approx(4.4)
    assert "in time.sleep at test_it.py:12 in test_it" in findings(entry)["blocked-loop"]
    assert "slow-consumer" not in findings(entry)


def test_nothing_is_due_so_nobody_waits_for_the_loop(suite: Suite) -> None:
    test = """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it():
    time.sleep(1.2)
    await astream()
"""
    assert "blocked-loop" not in findings(replayed(suite, test))


@pytest.mark.parametrize("wait", ["time.sleep(0.1)", "await asyncio.sleep(0.1)"], ids=["sync", "async"])
def test_a_slow_consumer_is_told_and_its_time_is_the_application_s(suite: Suite, wait: str) -> None:
    ways = {"async ": ("async_claude_client", "@pytest.mark.asyncio"), "": ("claude_client", "")}
    kind = "async " if "await" in wait else ""
    client, mark = ways[kind]
    test = f"""
{mark}
@pytest.mark.latency_budget(total="9s")
{kind}def test_it({client}):
    {kind}with {client}.messages.stream(messages=messages("hi"), model="claude-haiku-4-5", max_tokens=100) as answer:
        {kind}for text in answer.text_stream:
            {wait}
"""
    entry = replayed(suite, test)

    fact = findings(entry)["slow-consumer"]
    assert fact.startswith("the program took ")
    assert "of the call late, so it took 2.050s longer than the answer: 4.400s" in fact
    assert (", 4.000s of that in time.sleep at test_it.py:11 in test_it" in fact) == (not kind)
    # Only the first piece was not there yet when the program came back for it.
    assert entry["calls"][0]["breakdown"]["application"] == pytest.approx(3.95)
    assert {"blocked-loop", "stall", "application"}.isdisjoint(findings(entry))


def test_a_stall_of_the_api_stays_one_beside_a_program_that_reads_at_once(suite: Suite) -> None:
    pieces = [*STEADY[:20], *((at + 2000, kind, text) for at, kind, text in STEADY[20:])]
    test = """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it():
    await astream()
"""
    entry = replayed(suite, test, asked(pieces=pieces))

    assert "stall" in findings(entry)
    assert "application" not in entry["calls"][0]["breakdown"]


def test_two_tasks_that_hold_the_loop_in_one_turn_are_told_apart(suite: Suite) -> None:
    holds = """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it():
    async def save(seconds):
        await asyncio.sleep(0.9)
        time.sleep(seconds)

    async def log(seconds):
        await asyncio.sleep(0.9)
        time.sleep(seconds)

    await asyncio.gather(astream(), save(0.8), log(0.6))
"""

    fact = findings(replayed(suite, holds))["blocked-loop"]

    assert "stood still for 800ms in time.sleep at test_it.py:11 in save; due meanwhile" in fact
    assert fact.endswith("; time.sleep at test_it.py:15 in log held it for 600ms too")


def test_live_a_gap_that_a_busy_loop_explains_is_not_blamed_on_the_api(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.asyncio
@pytest.mark.latency_budget(total="9s")
async def test_it():
    async def compute():
        await asyncio.sleep(0.15)
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            pass

    await asyncio.gather(astream(), compute())
"""
    )
    suite.server.answers(lambda request: text("a|b|c|d|e|f|g|h|i|j", ttfb="20ms", gaps=["40ms"] * 10))
    suite.run("--latency-mode=live", "--latency-explain", key="a-key", base_url=suite.server.url)
    entry = suite.report["tests"][0]

    assert "stall" not in findings(entry)
    assert entry["calls"][0]["breakdown"]["application"] > 0.4
    assert "blocked-loop" in findings(entry)


READS = """
import os, aiohttp, requests

URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"
BODY = {{"model": "claude-haiku-4-5", "max_tokens": 10, "stream": True, "messages": messages("hi")}}
HEADERS = {{"anthropic-version": "2023-06-01", "x-api-key": "k"}}


def compute():
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        pass


def by_requests(busy):
    with requests.post(URL, json=BODY, headers=HEADERS, stream=True) as answer:
        for number, _ in enumerate(answer.iter_lines(chunk_size=1)):
            if number == 20:
                busy()


def by_client(busy):
    with anthropic.Anthropic() as client, client.messages.stream(**ASKED) as answer:
        for number, _ in enumerate(answer.text_stream):
            if number == 3:
                busy()


async def by_async_client(busy):
    async with anthropic.AsyncAnthropic() as client, client.messages.stream(**ASKED) as answer:
        number = 0
        async for _ in answer.text_stream:
            number += 1
            if number == 3:
                await busy()


ASKED = {{name: value for name, value in BODY.items() if name != "stream"}}


def test_it(claude_latency):
    {read}
"""


@pytest.mark.parametrize(
    "read",
    [
        pytest.param("by_client(compute)", marks=pytest.mark.slow),
        "by_client(lambda: time.sleep(0.7))",
        pytest.param("by_requests(compute)", marks=pytest.mark.slow),
        "asyncio.run(by_async_client(lambda: asyncio.sleep(0.7)))",
    ],
)
def test_live_what_the_program_did_not_read_is_not_blamed_on_the_api(suite: Suite, read: str) -> None:
    suite.write(READS.format(read=read))
    suite.server.answers(lambda request: text("a|b|c|d|e|f|g|h|i|j", ttfb="20ms", gaps=["40ms"] * 10))

    result = suite.record("--latency-explain")
    entry = suite.report["tests"][0]

    assert "stall" not in findings(entry)
    assert entry["calls"][0]["breakdown"]["application"] > 0.4
    shown = " ".join(" ".join(result.outlines).split())
    assert "while it was recorded" in shown or "the machine stalled" in shown

    suite.run("--latency-explain")
    entry = suite.report["tests"][0]

    assert "stall" not in findings(entry)
    assert entry["calls"][0]["breakdown"]["application"] > 0.4


def test_what_the_program_held_while_recording_is_not_blamed_on_the_api_in_the_replay(suite: Suite) -> None:
    # it sleeps from 900 to 2100 ms, and reads on then
    late = [(at if at < 950 else max(at, 2105), kind, word) for at, kind, word in STEADY]

    entry = replayed(suite, BESIDE.format(hold="time.sleep(1.2)"), asked(pieces=late))

    assert "stall" not in findings(entry)
    assert entry["calls"][0]["breakdown"]["application"] > 1
    assert "time.sleep at test_it.py" in findings(entry)["blocked-loop"]


def test_a_stall_beside_a_shorter_hold_stays_the_api_s(suite: Suite) -> None:
    late = [(at if at < 950 else at + 2400, kind, word) for at, kind, word in STEADY]

    entry = replayed(suite, BESIDE.format(hold="time.sleep(0.3)"), asked(pieces=late))

    assert "stall" in findings(entry)
