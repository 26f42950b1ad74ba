"""What happens on the wire while recording happens again in the replay, at the same moment."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_answers import Answer, hang_up, redirect, silence, status
from tests.support.claude_messages import Text, Thinking, ToolUse, message, text

OUTCOME = """
import json, pathlib


def outcome_of(act):
    try:
        seen = act()
    except Exception as error:
        seen = [type(error).__module__.partition(".")[0], type(error).__name__]
    pathlib.Path("outcome.json").write_text(json.dumps(seen))


def events(client=None):
    client = client or anthropic.Anthropic(max_retries=MAX_RETRIES, timeout=TIMEOUT)
    answer = client.messages.create(
        model="claude-haiku-4-5", max_tokens=100, messages=messages("hi"), stream=True
    )
    seen = []
    try:
        for event in answer:
            seen.append(event.to_dict())
    except Exception as error:
        seen.append([type(error).__module__.partition(".")[0], type(error).__name__])
    return seen


def test_it(claude_latency):
    outcome_of(lambda: ACT)
"""


FILES_KEEP = 2e-6
"""Seconds: recordings keep offsets to the microsecond."""

COMPUTING = 0.05
"""Seconds: what the SDK itself computes between two requests takes time in a recording and none in a replay."""

JITTER = 0.3
"""Seconds: two back-offs of the SDK, drawn by chance while recording, are pinned in a replay."""


def _record_and_replay(
    suite: Suite, answers: tuple[Answer, ...], act: str, within: float = FILES_KEEP, **settings: Any
) -> tuple[Any, Any]:
    source = OUTCOME.replace("ACT", act)
    for name, value in {"MAX_RETRIES": 0, "TIMEOUT": 20, **settings}.items():
        source = source.replace(name, repr(value))
    suite.write(source)
    suite.server.answer(*answers)
    outcomes = []
    for run in (suite.record, suite.replay):
        run().assert_outcomes(passed=1)
        outcomes.append((json.loads((suite.path / "outcome.json").read_text()), suite.calls("test_it")))
    (recorded, recorded_calls), (replayed, replayed_calls) = outcomes
    assert replayed == recorded
    for before, after in zip(recorded_calls, replayed_calls, strict=True):
        _same_call(before, after, within)
    return replayed, replayed_calls


def _same_call(recorded: dict[str, Any], replayed: dict[str, Any], within: float) -> None:
    for name in ("ttfb", "ttft", "ttfa", "total", "longest_gap"):
        assert replayed[name] == pytest.approx(recorded[name], abs=within), name
    for name in ("streamed", "status", "attempts", "output_tokens", "stop_reason", "error", "closed", "model"):
        assert replayed[name] == recorded[name], name


LONG = text("Grüße aus |Köln, |schöne Stadt", ttfb="5ms", gaps=["4ms", "6ms", "8ms"])

ONE_ATTEMPT: dict[str, Answer] = {
    "a plain stream": LONG,
    "gzip": LONG.compressed("gzip"),
    "deflate": LONG.compressed("deflate"),
    "gzip and a header beyond ASCII": LONG.compressed("gzip").with_headers(request_id="req_\xe9"),
    "what is not in the encoding it names": LONG.with_headers(content_encoding="gzip"),
    "a status beyond the standard": status(999),
    "chunks of seven bytes": LONG.split(size=7, gap=0),
    "chunks that end inside characters": LONG.split_in_characters(),
    "an error event in mid-stream": LONG.failing(2, gap="3ms"),
    "a drop in mid-stream": LONG.dropped(2),
    "a reset in mid-stream": LONG.dropped(2, wait="3ms", reset=True),
    "no last blank line": LONG.without_last_blank_line(),
    "no event names": LONG.without_event_names(),
    "an unknown event": LONG.with_part(2, b'event: novelty\ndata: {"type":"novelty"}\n\n'),
    "a ping": LONG.with_part(1, b'event: ping\ndata: {"type":"ping"}\n\n', gap="2ms"),
    "thinking first": message(Thinking("Let me |see"), Text("Four|.")),
    "a tool call": message(Text("Looking"), ToolUse("look_up", {"order": "A-1"}, 3)),
    "an HTTP error": status(400),
    "an overload": status(529),
    "a connection closed before any answer": hang_up("3ms"),
    "a connection reset before any answer": hang_up("3ms", reset=True),
}


@pytest.mark.parametrize("answer", ONE_ATTEMPT.values(), ids=ONE_ATTEMPT)
def test_a_replay_repeats_what_the_program_met(suite: Suite, answer: Answer) -> None:
    _, calls = _record_and_replay(suite, (answer,), "events()")

    assert len(calls) == 1


@pytest.mark.parametrize("answer", [LONG, LONG.compressed("gzip"), status(404)], ids=["plain", "gzip", "error"])
def test_an_answer_that_is_not_streamed_is_replayed_whole(suite: Suite, answer: Answer) -> None:
    _, (call,) = _record_and_replay(suite, (answer,), "ask(client=anthropic.Anthropic(max_retries=0))")

    assert call["streamed"] is False
    assert call["ttft"] == (None if call["error"] else call["total"])


def test_retries_are_attempts_of_one_call(suite: Suite) -> None:
    answers = (status(429, retry_after=1), status(529, ttfb="4ms"), LONG)

    _, (call,) = _record_and_replay(suite, answers, "events()", within=JITTER, MAX_RETRIES=2)

    assert call["attempts"] == 3
    assert call["status"] == 200
    assert call["total"] > 1.4  # one second asked for, and a back-off of at least 0.375 s


def test_a_redirect_is_no_attempt_of_its_own(suite: Suite) -> None:
    _, (call,) = _record_and_replay(suite, (redirect("/elsewhere/v1/messages"), LONG), "events()", within=COMPUTING)

    assert call["attempts"] == 1


def test_a_client_that_stops_early_closes_its_call(suite: Suite) -> None:
    act = """(lambda s: [next(iter(s)).to_dict(), s.close()])(
        anthropic.Anthropic().messages.create(model="m", max_tokens=9, messages=messages("hi"), stream=True))"""

    _, (call,) = _record_and_replay(suite, (LONG,), act.replace("\n", " "), within=COMPUTING)

    assert call["closed"] == "client"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(silence(), ["anthropic", "APITimeoutError"]), (LONG.stalled(2), "ReadTimeout")],
    ids=["before the headers", "in mid-stream"],
)
def test_a_read_time_out_fires_as_it_did(suite: Suite, answer: Answer, expected: Any) -> None:
    suite.write(OUTCOME.replace("ACT", "events()").replace("MAX_RETRIES", "0").replace("TIMEOUT", "0.6"))
    suite.server.answer(answer)

    for run in (suite.record, suite.replay):
        run().assert_outcomes(passed=1)
        outcome = json.loads((suite.path / "outcome.json").read_text())
        (call,) = suite.calls("test_it")
        assert outcome == expected or outcome[-1][1] == expected
        assert call["error"] == "ReadTimeout"
        assert call["total"] >= 0.6


def test_recorded_offsets_are_those_of_the_wire(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    stream()\n")
    suite.server.answer(text("one |two |three", ttfb="20ms", gaps=["30ms", "30ms", "30ms"]))
    suite.record()
    (served,) = suite.server.log

    lines = [json.loads(line) for line in (suite.path / suite.recordings()[0]).read_text().splitlines()]

    wire = [written.at / 1e6 for written in served.writes]
    chunks = [line["at"] for line in lines if "chunk" in line]
    assert len(chunks) == len([written for written in served.writes if written.data])
    lags = [chunk - written for chunk, written in zip(chunks, wire, strict=False)]
    assert all(lag > -0.5 for lag in lags)  # nothing is seen before it is sent
    # And everything when it comes, not when the body is complete. A busy machine may be late once.
    assert median(lags) - min(lags) < 15
    assert chunks[0] < wire[-1]
