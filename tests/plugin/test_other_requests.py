"""Tests whose requests make no message, because they wait for batches or follow sessions: `elapsed` holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pytest_claude_latency.cli.command import main
from pytest_claude_latency.messages_api.exchange import Request
from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_answers import Answer, Part, json_answer
from tests.support.claude_messages import text

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
            "elapsed was *, * over the budget of 250ms",
            "  measured  * all requests together",
            "  timeline  request  sent 0ms · end * POST /v1/messages/batches",
            "            polling  sent * · end *",
            "              GET /v1/messages/batches/msgbatch_1, 3 times",
            "  test      of *: * polling, * in other requests",
        ]
    )


def test_batches_that_are_asked_about_in_turn_are_one_polling_and_what_follows_is_not(suite: Suite) -> None:
    suite.server.answers(lambda request: _batch("in_progress"))
    suite.write(
        BUDGET.format('elapsed="250ms"')
        + """
def test_it():
    batches = anthropic.Anthropic().messages.batches
    for _ in range(2):
        for name in ("one", "two"):
            batches.retrieve(name)
        time.sleep(0.1)
    time.sleep(0.4)
    batches.list()
"""
    )
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(failed=1)

    breakdown = suite.test("test_it")["breakdown"]
    assert breakdown["polling"] > 0.1
    assert breakdown["application"] == pytest.approx(0.5, abs=0.01)


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
    result.stdout.fnmatch_lines(["E * elapsed was *"])


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
        event = json.dumps({"id": f"sevt_{gap}", "type": name, **moment, **data})
        yield Part(f"event: {name}\ndata: {event}\n\n".encode(), gap=gap * 1_000_000)


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
        [
            "  timeline  session  sent 0ms · first message * · end *",
            "              GET /v1/sessions/sesn_1/events/stream",
        ]
    )


SESSIONS = ', when={"endpoint": "session"}'


def _with_sessions(suite: Suite, limits: str, *, body: str = FOLLOWING, also: str = "") -> None:
    suite.server.answers(_events)
    suite.write(also + BUDGET.format(limits + SESSIONS) + body)
    suite.record().assert_outcomes(passed=1)


def test_the_stream_of_a_session_is_judged_by_limits_that_name_its_endpoint(suite: Suite) -> None:
    _with_sessions(suite, 'ttft="10s", calls=1', also=BUDGET.format('elapsed="10s"') + "\n")

    suite.replay().assert_outcomes(passed=1)

    test = suite.test("test_it")
    assert test["calls"] == []
    (session,) = test["session_calls"]
    assert 0.15 <= session["ttft"] < session["total"]
    assert session["streamed"] is True
    budgets = {budget["metric"]: (budget["verdict"], budget.get("selector")) for budget in test["budgets"]}
    selector = {"when": {"endpoint": "session"}}
    assert budgets == {"elapsed": ("kept", None), "ttft": ("kept", selector), "calls": ("kept", selector)}


def test_a_broken_one_names_the_session(suite: Suite) -> None:
    _with_sessions(suite, 'ttft="100ms"')

    result = suite.replay()

    result.assert_outcomes(failed=1)
    whole_lines(result).fnmatch_lines(
        [
            "ttft of a session was *, * over the budget of 100ms",
            "  budget    ttft<100ms when endpoint=session *@latency_budget on test_it.py::test_it",
            "  measured  * session 1 of 1, /v1/sessions/sesn_1/events/stream",
        ]
    )


def test_a_block_judges_sessions_too(suite: Suite) -> None:
    suite.server.answers(_events)
    block = """
def test_it(claude_latency):
    with claude_latency.budget(ttft="100ms", when={"endpoint": "session"}):
        with anthropic.Anthropic().beta.sessions.events.stream("sesn_1") as events:
            for event in events:
                if event.type == "session.status_idle":
                    break
"""
    suite.write(block)

    result = suite.record()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * ttft of a session was *"])


def test_a_percentile_is_over_the_sessions_of_all_samples(suite: Suite) -> None:
    suite.server.answers(_events)
    suite.write(BUDGET.format('ttft={"p50": "10s"}' + SESSIONS) + FOLLOWING)
    suite.record("--latency-samples=5").assert_outcomes(passed=5)

    suite.replay("--latency-strict").assert_outcomes(passed=5)

    (verdict,) = suite.report["verdicts"]
    assert (verdict["verdict"], verdict["samples"]) == ("kept", 5)
    assert verdict["selector"] == {"when": {"endpoint": "session"}}


@pytest.mark.parametrize("limits", ['ttft="1s"', 'ttft={"p50": "1s"}'])
def test_a_limit_on_sessions_without_one_is_broken(suite: Suite, limits: str) -> None:
    suite.write(BUDGET.format(limits + SESSIONS) + "\ndef test_it():\n    ask()\n")
    suite.record().assert_outcomes(passed=1)

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no event stream of a session was followed*"])


def test_an_inherited_limit_on_sessions_without_one_warns(suite: Suite) -> None:
    suite.write("pytestmark = " + BUDGET[1:].format('ttft="1s"' + SESSIONS) + "\ndef test_it():\n    ask()\n")
    suite.record().assert_outcomes(passed=1)

    result = suite.replay()

    result.assert_outcomes(passed=1)
    assert "promises nothing: no event stream of a session was followed" in " ".join(result.stdout.str().split())
    suite.replay("--latency-strict").assert_outcomes(failed=1)


def test_prompt_calls_are_not_judged_by_limits_on_sessions_nor_suggested_from_them(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    suite.server.answers(lambda request: _events(request) or text("Hi", ttfb="900ms"))
    body = FOLLOWING + "    stream()\n"
    suite.write(BUDGET.format('ttft="800ms", attempts=1' + SESSIONS) + "\n" + BUDGET.format('ttft="20s"') + body)
    suite.record().assert_outcomes(passed=1)

    result = suite.replay("--latency-suggest")

    result.assert_outcomes(passed=1)
    assert [budget["metric"] for budget in suite.test("test_it")["budgets"]] == ["ttft", "ttft", "attempts"]
    suggested = result.stdout.str().partition("suggest")[2]
    capsys.readouterr()
    assert "attempts=" not in suggested
    assert main(["suggest", str(suite.path / "report.json")]) == 0
    assert "attempts=" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ('ttft="1s", when={"endpoint": "batches"}', 'accepted when={"endpoint": "session"}, without other fields'),
        (
            'ttft="1s", when={"endpoint": "batches"}',
            "batches and other requests that make no message have limits on elapsed",
        ),
        (
            'ttft="1s", when={"endpoint": "session", "model": "m"}',
            'accepted when={"endpoint": "session"}, without other',
        ),
        ('ttft="1s", call=1, when={"endpoint": "session"}', "call= and when= exclude each other"),
        ('ttft="1s", when={"model": ["m"]}', 'accepted when={"endpoint": "session"}'),
        ('when={"endpoint": "session"}', "has no limits"),
        ('elapsed="1s", when={"endpoint": "session"}', "elapsed is about the whole test"),
    ],
)
def test_a_selector_that_is_not_understood_is_an_error_at_set_up(suite: Suite, limits: str, said: str) -> None:
    suite.write(BUDGET.format(limits) + "\ndef test_it():\n    ask()\n")

    result = suite.run()

    result.assert_outcomes(errors=1)
    assert said in " ".join(result.stdout.str().split())
