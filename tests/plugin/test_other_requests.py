"""Tests whose requests make no message, because they wait for batches or follow sessions: `elapsed` holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pytest_claude_latency.messages_api.exchange import Request
from tests.plugin.suite import Suite
from tests.support.claude_answers import Answer, Part, json_answer

WAITING = """
def test_it(claude_latency):
    batches = anthropic.Anthropic().messages.batches
    request = {"custom_id": "one", "params": {"model": "m", "max_tokens": 9, "messages": messages("hi")}}
    batch = batches.create(requests=[request])
    while batch.processing_status != "ended":
        time.sleep(0.1)
        batch = batches.retrieve(batch.id)
    save_result(claude_latency.elapsed)
"""
IN_A_BLOCK = """
def test_it(claude_latency):
    with claude_latency.budget(elapsed="250ms"):
        batches = anthropic.Anthropic().messages.batches
        while batches.retrieve("msgbatch_1").processing_status != "ended":
            time.sleep(0.1)
"""
BUDGET = "@pytest.mark.latency_budget({})"


def _batch(status: str) -> Answer:
    moments = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
    counts = {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
    head = {"id": "msgbatch_1", "type": "message_batch", "results_url": None, "request_counts": counts}
    return json_answer({**head, **moments, "processing_status": status}, ttfb="5ms")


@pytest.fixture
def waiting(suite: Suite) -> Suite:
    """A suite whose program asks three times whether its batch is done."""
    states = iter(["in_progress", "in_progress", "in_progress", "ended"])
    suite.server.answers(lambda request: _batch(next(states)))
    return suite


def test_a_budget_on_elapsed_holds_a_test_that_only_waits_for_a_batch(waiting: Suite) -> None:
    waiting.write(BUDGET.format('elapsed="10s"') + WAITING)
    waiting.record("--latency-budget").assert_outcomes(passed=1)

    waiting.replay().assert_outcomes(passed=1)

    assert waiting.saved_result == pytest.approx(0.32, abs=0.2)
    (budget,) = waiting.test("test_it")["budgets"]
    assert (budget["metric"], budget["verdict"], budget["call"]) == ("elapsed", "kept", None)
    assert budget["measured"] == pytest.approx(waiting.saved_result)


def test_a_broken_one_shows_the_polling_by_its_name(waiting: Suite) -> None:
    waiting.write(BUDGET.format('elapsed="250ms"') + WAITING)
    waiting.record().assert_outcomes(passed=1)

    result = waiting.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "elapsed was 3??ms, * over the budget of 250ms",
            "  measured  3??ms *  all requests together",
            "  timeline  request  sent 0ms · end *ms * POST /v1/messages/batches",
            "            polling  sent 1??ms · end 3??ms * GET /v1/messages/batches/msgbatch_1, 3 times",
            "  test      of 3??ms: 2??ms polling, 1??ms in the application, *ms in other requests",
        ]
    )


def test_only_elapsed_is_judged_without_a_prompt_call(waiting: Suite) -> None:
    waiting.write(BUDGET.format('ttft="1s", elapsed="10s"') + WAITING)
    waiting.record().assert_outcomes(passed=1)

    result = waiting.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no prompt call was made, so the budget promises nothing", "  budget    ttft<1s *"])
    assert {budget["metric"]: budget["verdict"] for budget in waiting.test("test_it")["budgets"]} == {
        "ttft": "broken",
        "elapsed": "kept",
    }


def test_a_percentile_of_elapsed_needs_no_prompt_call_either(suite: Suite) -> None:
    suite.server.answers(lambda request: _batch("ended"))
    suite.write(BUDGET.format('elapsed={"p50": "10s"}') + WAITING)
    suite.record("--latency-samples=5").assert_outcomes(passed=5)

    suite.replay().assert_outcomes(passed=5)


def test_a_block_judges_elapsed_without_a_prompt_call(waiting: Suite) -> None:
    waiting.write(IN_A_BLOCK)
    waiting.record().assert_outcomes(failed=1)

    result = waiting.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BudgetExceeded: elapsed was 3??ms*"])


# ── sessions ──

FOLLOWING = """
def test_it(claude_latency):
    client = anthropic.Anthropic()
    with client.beta.sessions.events.stream("sesn_1") as events:
        for event in events:
            if event.type == "session.status_idle":
                break
    save_result([claude_latency.elapsed, len(claude_latency.calls)])
"""


def _events(request: Request) -> Answer | None:
    if not request.url.partition("?")[0].endswith("/v1/sessions/sesn_1/events/stream"):
        return None
    return Answer(headers=(("content-type", "text/event-stream"),), ttfb=5_000_000, parts=tuple(_parts()))


def _parts() -> Iterator[Part]:
    moment = {"processed_at": "2026-01-01T00:00:00Z"}
    for gap, name, data in (
        (10, "session.status_running", {}),
        (60, "agent.thinking", {}),
        (80, "agent.message", {"content": [{"type": "text", "text": "Looking."}]}),
        (50, "agent.message", {"content": [{"type": "text", "text": "Found it."}]}),
        (20, "session.status_idle", {"stop_reason": {"type": "end_turn"}}),
    ):
        text = json.dumps({"id": f"sevt_{gap}", "type": name, **moment, **data})
        yield Part(f"event: {name}\ndata: {text}\n\n".encode(), gap=gap * 1_000_000)


def test_the_stream_of_a_session_counts_in_elapsed_and_not_in_calls(suite: Suite) -> None:
    suite.server.answers(_events)
    suite.write(BUDGET.format('elapsed="100ms"') + FOLLOWING)
    suite.record().assert_outcomes(passed=1)
    (recorded, _), asked = suite.saved_result, len(suite.server.requests)

    result = suite.replay()

    result.assert_outcomes(failed=1)
    elapsed, calls = suite.saved_result
    assert (elapsed, calls) == (pytest.approx(recorded, abs=0.01), 0)
    assert len(suite.server.requests) == asked
    result.stdout.fnmatch_lines(
        ["  timeline  session  sent 0ms · first message 1??ms · end 2??ms * GET /v1/sessions/sesn_1/events/stream"]
    )
