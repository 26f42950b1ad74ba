"""Limits on the whole test: the wait that a user feels, parts of its time, and its cost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_claude_latency.messages_api.exchange import Exchange, Request
from tests.plugin.suite import Suite
from tests.support.some_recording import recording
from tests.support.written_calls import refused, streamed, usage, whole


def request(prompt: str, *, stream: bool) -> Request:
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": prompt}], "model": "claude-haiku-4-5"}
    content = json.dumps(body | ({"stream": True} if stream else {})).encode()
    return replace(whole().request, content=content)


def kept(suite: Suite, limits: str, body: str, *exchanges: Exchange) -> Suite:
    """Write a test with these limits and a recording of it."""
    suite.write(f"@pytest.mark.latency_budget({limits})\ndef test_it(claude_latency):\n    {body}\n")
    path = suite.path / "cassettes" / "test_it" / "test_it.1.jsonl"
    replace(recording(*exchanges), test="test_it.py::test_it").save(path)
    return suite


STREAMED = replace(streamed(), request=request("hi", stream=True))
WHOLE = replace(whole(), request=request("hi", stream=False))
THEN_STREAMED = replace(streamed(sent=900), request=request("then", stream=True))


def test_the_first_token_is_the_first_text_that_a_reader_sees(suite: Suite) -> None:
    kept(suite, 'first_token="1s"', 'ask("hi"); stream("then")', WHOLE, THEN_STREAMED)

    result = suite.replay()

    result.stdout.fnmatch_lines(
        [
            "*first_token was 1.300s, 300ms over the budget of 1s",
            "*measured  1.300s                       the first text of call 2 of 2",
        ]
    )
    assert suite.report["tests"][0]["budgets"][0]["measured"] == pytest.approx(1.3)


def test_without_a_stream_the_first_token_comes_with_the_last_answer(suite: Suite) -> None:
    kept(suite, 'first_token="899ms"', 'ask("hi")', WHOLE)

    suite.replay().stdout.fnmatch_lines(
        ["*first_token was 900ms, 1ms over*", "*no text was streamed: the end of call 1*"]
    )


def test_the_first_token_of_a_block_counts_from_the_block(suite: Suite) -> None:
    body = 'ask("hi")\n    with claude_latency.budget(first_token="399ms"): stream("then")'
    kept(suite, 'first_token="5s"', body, WHOLE, THEN_STREAMED)

    suite.replay().stdout.fnmatch_lines(["*first_token was 400ms, 1ms over the budget of 399ms"])


def test_computing_and_waiting_before_the_first_request_count_in_the_first_token(suite: Suite) -> None:
    kept(suite, 'first_token="1s"', 'time.sleep(0.7); stream("hi")', STREAMED)

    suite.replay().stdout.fnmatch_lines(["*first_token was 1.100s*"])


def test_parts_are_limited_along_the_critical_path(suite: Suite) -> None:
    again = replace(streamed(sent=1000), request=STREAMED.request)
    no = replace(refused(at=100, retry_after="0.9"), request=STREAMED.request)
    limits = 'retries="400ms", connection="1s", application="1s", thinking="1s", tools="1s"'
    kept(suite, limits, 'stream("hi")', no, again)

    suite.replay().stdout.fnmatch_lines(
        ["*retries was 1.000s, 600ms over the budget of 400ms", "*along the critical path*"]
    )
    assert {row["metric"]: row["verdict"] for row in suite.report["tests"][0]["budgets"]} == {
        "retries": "broken",
        "thinking": "kept",
        "tools": "kept",
        "application": "kept",
        "connection": "kept",
    }


def test_a_bare_number_for_a_part_is_refused(suite: Suite) -> None:
    kept(suite, "retries=2", 'stream("hi")', STREAMED)

    suite.replay().stdout.fnmatch_lines(['*retries=2: write attempts=3 for a count, retries="2s" for time*'])


def test_cost_is_limited_and_its_prices_are_dated(suite: Suite) -> None:
    answer = replace(streamed(used=usage(10_000, 2_000)), request=STREAMED.request)
    kept(suite, "cost=0.015", 'stream("hi")', answer)

    suite.replay().stdout.fnmatch_lines(
        ["*cost was $0.0200, $0.0050 over the budget of $0.015", "*1 call, prices of 2026-*"]
    )


def test_prices_come_from_a_file_too_and_a_model_without_one_breaks_the_limit(suite: Suite) -> None:
    (suite.path / "prices.json").write_text('{"dated": "2026-12-01", "models": {"claude-opus-*": {"input": 1}}}')
    suite.ini("latency_prices = prices.json")
    kept(suite, "cost=1", 'stream("hi")', STREAMED)

    suite.replay().stdout.fnmatch_lines(
        [
            "cost has no value, claude-haiku-4-5 has no price for input, output: it breaks",
            "  the budget of $1",
            '  add       {"claude-haiku-4-5": {"input": "...", "output": "..."}} to the file',
            "            of latency_prices (the prices in use are of 2026-12-01)",
        ]
    )


def test_a_damaged_file_of_prices_is_a_usage_error(suite: Suite) -> None:
    (suite.path / "prices.json").write_text("[]")
    suite.ini("latency_prices = prices.json")

    assert suite.run(report=None).ret == pytest.ExitCode.USAGE_ERROR


def test_the_first_token_takes_percentiles(suite: Suite) -> None:
    kept(suite, 'first_token={"p50": "200ms"}', 'stream("hi")', STREAMED)

    suite.replay("--latency-strict").stdout.fnmatch_lines(["*1 of 1 over 200ms: p50 needs*"])


def test_markers_for_some_calls_stand_side_by_side(suite: Suite) -> None:
    kept(suite, 'ttft="500ms", call=2', 'stream("hi"); ask("then")', STREAMED, replace(WHOLE, sent=900_000_000))
    whole_request = request("then", stream=False)
    path = suite.path / "cassettes" / "test_it" / "test_it.1.jsonl"
    then = replace(WHOLE, sent=900_000_000, request=whole_request)
    replace(recording(STREAMED, then), test="test_it.py::test_it").save(path)

    suite.replay().stdout.fnmatch_lines(
        ["*ttft (call=2) was 900ms, 400ms over the budget of 500ms", "*budget    ttft<500ms call=2*", "*call 2 of 2*"]
    )
    assert suite.report["tests"][0]["budgets"][0]["selector"] == {"call": 2}
