"""What a program reads besides the answer means the same in a replay: the text of an error, a date in a header."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anthropic
import pytest

from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_answers import Answer, hang_up
from tests.support.claude_messages import text

LONG = text("Grüße aus |Köln, |schöne Stadt", ttfb="5ms", gaps=["4ms", "6ms", "8ms"])
FAILING = """
def test_it(claude_latency):
    client = anthropic.Anthropic(max_retries=0, timeout=TIMEOUT)
    with pytest.raises(Exception) as caught:
        with client.messages.stream(messages=messages("hi"), **app.ASKED) as answer:
            answer.get_final_text()
    error = caught.value
    cause = error.__cause__ if isinstance(error, anthropic.APIError) else None
    save_result([type(error).__name__, str(error), str(cause)])
"""
ASYNC_FAILING = """
@pytest.mark.asyncio
async def test_it(claude_latency):
    client = anthropic.AsyncAnthropic(max_retries=0, timeout=TIMEOUT)
    with pytest.raises(Exception) as caught:
        async with client.messages.stream(messages=messages("hi"), **app.ASKED) as answer:
            await answer.get_final_text()
    error = caught.value
    cause = error.__cause__ if isinstance(error, anthropic.APIError) else None
    save_result([type(error).__name__, str(error), str(cause)])
"""
SILENT = text("one|two", gaps=["2ms", "2s"])
ANSWERS = {
    "a drop in mid-stream": LONG.dropped(2),
    "a reset in mid-stream": LONG.dropped(2, wait="3ms", reset=True),
    "a silence longer than the time-out": SILENT,
    "a connection closed before any answer": hang_up("3ms"),
}


@pytest.mark.parametrize("source", [FAILING, ASYNC_FAILING], ids=["sync", "async"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_replayed_error_reads_as_that_of_the_wire(suite: Suite, source: str, answer: Answer) -> None:
    # Only the silence is to meet the time-out: a busy machine takes long for the others too.
    suite.write("import app\n" + source.replace("TIMEOUT", "0.3" if answer is SILENT else "30"))
    suite.server.answer(answer)
    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result

    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == recorded
    _in_version_1(suite)
    suite.replay().assert_outcomes(passed=1)
    assert suite.saved_result == recorded


OVER_AIOHTTP = """
import sys, aiohttp

CALLED = TABLE


@pytest.fixture
def table(monkeypatch):
    http_client = anthropic.DefaultAioHttpClient()
    module = sys.modules[type(http_client._transport).__module__]
    if CALLED:
        table = {getattr(aiohttp, kind): getattr(sdk_http, name) for kind, name in CALLED.items()}
        monkeypatch.setattr(module, "AIOHTTP_EXC_MAP", table)
    return http_client


def test_it(table, claude_latency):
    async def main():
        async with anthropic.AsyncAnthropic(http_client=table, max_retries=0, **GIVEN) as client:
            await aask(client=client)

    with pytest.raises(Exception) as caught:
        asyncio.run(main())
    cause = caught.value.__cause__
    save_result([type(caught.value).__name__, str(caught.value), type(cause).__name__, str(cause)])
"""
TABLES: dict[str, dict[str, str]] = {
    "the SDK's own": {},
    # httpx-aiohttp 0.1.9
    "one that says time-out": {"ClientConnectionError": "ConnectTimeout", "ClientConnectorError": "ConnectError"},
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("answer", "error"),
    [(None, "ConnectError"), (hang_up("3ms"), "RemoteProtocolError"), (Answer(None, ending="reset"), "ReadError")],
    ids=["refused", "closed", "reset"],
)
def test_an_error_that_a_transport_over_aiohttp_calls_otherwise_is_raised_as_live(
    suite: Suite, table: str, answer: Answer | None, error: str
) -> None:
    try:
        anthropic.DefaultAioHttpClient()
    except (RuntimeError, AttributeError):
        pytest.skip("the SDK's aiohttp extra is not installed")
    given = "{'base_url': 'http://127.0.0.1:9'}" if answer is None else "{}"
    program = f"import {HTTPLibrary.of_sdk().name} as sdk_http\n" + OVER_AIOHTTP
    suite.write(program.replace("TABLE", str(TABLES[table])).replace("GIVEN", given))
    if answer is not None:
        suite.server.answer(answer)

    suite.record().assert_outcomes(passed=1)
    live = suite.saved_result
    (name,) = suite.recordings()
    *_, end = (suite.path / name).read_text().splitlines()
    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == live
    if TABLES[table]:
        assert live[2] == "ConnectTimeout"
        assert json.loads(end)["error"] == error == suite.calls("test_it")[0]["error"]


def _in_version_1(suite: Suite) -> None:
    """Write the recording as version 1 did: it has no text of the error."""
    (name,) = suite.recordings()
    head, *facts = [json.loads(line) for line in (suite.path / name).read_text().splitlines()]
    del head["samples"]
    head |= {"version": 1, "anthropic": head.pop("client").removeprefix("anthropic ")}
    for fact in facts:
        fact.pop("message", None)
    (suite.path / name).write_text("".join(f"{json.dumps(fact)}\n" for fact in [head, *facts]))


def test_a_time_out_of_the_program_s_own_reads_as_on_the_wire_also_if_none_was_recorded(suite: Suite) -> None:
    suite.write("import app\n" + FAILING.replace("TIMEOUT", "0.3"))
    suite.server.answer(text("one|two", gaps=["2ms", "350ms"]).dropped(2))
    suite.record().assert_outcomes(passed=1)
    kind, read, _ = suite.saved_result

    assert (kind, read) == ("ReadTimeout", "timed out")
    suite.replay().assert_outcomes(passed=1)
    assert suite.saved_result[:2] == [kind, read]


def test_a_redacted_pattern_is_not_in_the_text_of_an_error_either(suite: Suite) -> None:
    suite.ini("latency_redact = chunked")
    suite.write("import app\n" + FAILING.replace("TIMEOUT", "0.3"))
    suite.server.answer(LONG.dropped(2))

    suite.record().assert_outcomes(passed=1)

    (name,) = suite.recordings()
    assert '"message": "peer closed connection' in (text_of := (suite.path / name).read_text())
    assert "(incomplete [redacted] read)" in text_of


DATED = """
@pytest.mark.latency_budget(total="10s")
def test_it(claude_latency):
    ask()
    save_result(claude_latency.calls[0].total)
"""


def test_a_date_in_retry_after_means_what_it_meant_to_the_microsecond(suite: Suite) -> None:
    suite.write(DATED)
    suite.record().assert_outcomes(passed=1)
    (name,) = suite.recordings()
    head, request, *_, response, chunk, end = (suite.path / name).read_text().splitlines()
    recorded = datetime.fromisoformat(json.loads(head)["recorded"])
    dated = format_datetime((recorded + timedelta(seconds=5)).replace(microsecond=0).astimezone(UTC), usegmt=True)
    refused = {"response": 1, "at": 50.0, "status": 503, "headers": {"retry-after": dated}}
    waited = (datetime.strptime(dated, "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=UTC) - recorded).total_seconds()
    first = json.loads(request) | {"at": 0.0}
    answered = [json.loads(line) for line in (request, response, chunk, end)]
    lines = [json.loads(head), first, refused, {"end": 1, "at": 50.0}]
    lines += [{**fact, next(iter(fact)): 2} for fact in answered]
    lines[4]["at"] = round(waited * 1000, 3)
    (suite.path / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    totals = []
    for _ in range(2):
        suite.replay().assert_outcomes(passed=1)
        totals.append(suite.saved_result)

    assert totals[0] == totals[1] == pytest.approx(waited + answered[2]["at"] / 1000, abs=2e-6)


TWO = "def test_it(claude_latency):\n    ask()\n"


def test_a_set_that_lost_a_sample_is_noticed(suite: Suite) -> None:
    suite.write(TWO)
    suite.record("--latency-samples=3")
    (suite.path / "cassettes/test_it/test_it.2.jsonl").unlink()

    result = suite.replay()

    result.assert_outcomes(passed=2)
    lines = [line for line in result.outlines if "mixed or incomplete set" in line]
    assert len(lines) == 1
    whole_lines(result).fnmatch_lines(["*of a set of 3 is among them, and there are 2; record them again: pytest*"])


def test_two_sets_of_equal_size_that_were_mixed_are_noticed(suite: Suite) -> None:
    suite.write(TWO)
    suite.record("--latency-samples=3")
    path = suite.path / "cassettes/test_it/test_it.2.jsonl"
    earlier = path.read_text()
    suite.record("--latency-samples=3")
    suite.replay("--latency-strict").assert_outcomes(passed=3)
    path.write_text(earlier)

    result = suite.replay()

    result.assert_outcomes(passed=3)
    lines = [line for line in result.outlines if "mixed set" in line]
    assert len(lines) == 1
    output = " ".join(result.stdout.str().split())
    assert "were not recorded together; record them again: pytest --latency-mode=record" in output
    few = suite.replay("--latency-samples=1")
    few.assert_outcomes(passed=1)
    few.stdout.no_fnmatch_line("*mixed set*")


def test_a_set_of_which_only_some_are_asked_for_is_complete(suite: Suite) -> None:
    suite.write(TWO)
    suite.record("--latency-samples=3")

    result = suite.replay("--latency-samples=2")

    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*incomplete set*")


def test_a_set_that_record_missing_completed_is_complete(suite: Suite) -> None:
    suite.write(TWO)
    suite.record("--latency-samples=2")
    suite.record("--latency-samples=3", mode="record-missing")

    result = suite.replay()

    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*incomplete set*")
    heads = [json.loads((suite.path / name).read_text().partition("\n")[0]) for name in suite.recordings()]
    assert [(head["version"], head["samples"]) for head in heads] == [(2, 3)] * 3
    assert len({head["set"] for head in heads}) == 1
    assert all(head["client"].startswith("anthropic ") for head in heads)
