"""What changed over a suite, and how that is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.drift import pages
from pytest_claude_latency.drift.sent_again import Planned, SentAgain
from pytest_claude_latency.drift.suite import drift_of
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, Request
from tests.support.report_schema import DOCS, assert_fits
from tests.support.some_recording import recording
from tests.support.written_calls import asked, refused, streamed, unanswered, usage, whole

SCHEMA = DOCS / "drift.schema.json"
NOW = datetime(2026, 12, 2, 12, tzinfo=UTC)  # ten days after `recording`


def again(recorded: Exchange, answered: Exchange | None, name: str = "test_a") -> SentAgain:
    """A recorded call that was sent again, and answered so."""
    kept = replace(recording(recorded), test=f"test_it.py::{name}")
    plan = Planned.of(Path(f"cassettes/test_it/{name}.1.jsonl"), kept, lambda request: request)
    return SentAgain(plan, answered)


def drift(*calls: SentAgain, unreadable: Sequence[str] = ()) -> dict[str, Any]:
    """The drift of these calls. It fits the published schema, and both pages can be drawn."""
    found = drift_of(calls, unreadable, len(calls), Rules(), now=NOW)
    assert_fits(json.loads(json.dumps(found)), SCHEMA)
    assert list(pages.text_lines(found, 80))
    assert pages.markdown(found)
    return found


def text(found: dict[str, Any], width: int = 80) -> str:
    return "\n".join(pages.text_lines(found, width))


def suite(factor: float, count: int = 8) -> list[SentAgain]:
    """Calls of very different lengths, each `factor` times as slow now."""
    calls = []
    for place in range(count):
        first = 200.0 * 1.7**place
        before, now = (
            streamed(asked(f"{place}"), [(first * scale, "text", "a"), (2 * first * scale, "text", "b")], headers=scale)
            for scale in (1.0, factor * (1 + place / 1000))
        )
        calls.append(again(before, now, f"test_{place}"))
    return calls


def test_equal_answers_are_no_drift() -> None:
    found = drift(*suite(1.0))

    assert found["drift"] == []
    assert pages.verdict_of(found) == "no drift in 8 calls"
    assert found["age_days"] == {"least": 10, "median": 10, "most": 10}


def test_a_fifth_slower_is_seen_among_calls_of_very_different_lengths() -> None:
    found = drift(*suite(1.2))

    assert found["drift"] == ["ttft slower", "tpot slower", "total slower"]
    assert {comparison["metric"]: round(comparison["ratio"], 1) for comparison in found["speed"]} == {
        "ttft": 1.2,
        "tpot": 1.2,
        "total": 1.2,
    }


def test_faster_and_a_little_slower_are_no_drift() -> None:
    assert drift(*suite(0.7))["drift"] == drift(*suite(1.05))["drift"] == []
    assert "ttft sped up from" in text(drift(*suite(0.7)))


def test_other_lengths_are_noted_and_other_states_of_the_prompt_cache_left_out() -> None:
    pieces = [(400.0, "text", "a"), (900.0, "text", "b")]
    longer = again(streamed(pieces=pieces), streamed(pieces=pieces, used=usage(output=120)), "test_longer")
    other = again(streamed(pieces=pieces, used=usage(read=2000)), streamed(pieces=pieces, used=usage(written=2000)))

    found = drift(longer, other)

    assert {comparison["samples_before"] for comparison in found["speed"]} == {1}
    assert "  the answers have 120 tokens, was 96\n  1 call left out: only one side read its prompt" in text(found)


def test_too_few_calls_give_no_verdict_on_speed() -> None:
    found = drift(*suite(3.0, count=5))

    assert found["drift"] == []
    assert "ttft: too few runs (5 calls before, 5 now; 6 a side are needed)" in text(found)


def test_the_opening_of_a_connection_is_no_part_of_the_comparison() -> None:
    recorded = streamed(pieces=[(600, "text", "a"), (900, "text", "b")], connect=(0, 200))
    answered = streamed(pieces=[(400, "text", "a"), (700, "text", "b")])

    (fact,) = drift(again(recorded, answered))["recordings"]

    assert fact["before"]["ttft"] == fact["after"]["ttft"] == 0.4


def test_another_model_and_other_tokens_are_told() -> None:
    before = whole(asked(), used=usage(31, 90))
    body = json.loads(before.chunks[0].data) | {"model": "claude-haiku-4-5-20270101", "usage": usage(35, 80)}
    found = drift(again(before, replace(before, chunks=(Chunk(before.chunks[0].at, json.dumps(body).encode()),))))

    assert found["drift"] == ["1 change of model", "1 prompt of other length in tokens"]
    shown = text(found, 200)
    assert "claude-haiku-4-5 was answered by claude-haiku-4-5, now by claude-haiku-4-5-20270101 (1 call)" in shown
    assert "prompts: 35, was 31" in shown
    assert "answers: 80, was 90" in shown
    assert "another number of tokens: cassettes/test_it/test_a.1.jsonl (35, was 31)" in shown


def test_a_change_of_shape_is_told_with_the_model_and_in_how_many_answers() -> None:
    before = [streamed(asked(str(place))) for place in range(2)]
    event = Chunk(before[0].chunks[-1].at, b'event: note\ndata: {"type": "note"}\n\n')
    found = drift(
        again(before[0], replace(before[0], chunks=(event, *before[0].chunks)), "test_a"),
        again(before[1], before[1], "test_b"),
    )

    assert found["drift"] == ["1 change of shape"]
    assert "new   note (object), in 1 of 2 answers of claude-haiku-4-5, streamed" in text(found, 120)


def test_a_model_that_is_gone_is_drift_and_a_busy_api_is_not() -> None:
    busy, gone = refused(at=5), refused(status=404, at=5)
    found = drift(
        again(whole(), gone, "test_gone"), again(whole(), busy, "test_busy"), again(whole(), unanswered(), "test_off")
    )

    assert found["drift"] == ["1 call refused"]
    assert [fact["state"] for fact in found["recordings"]] == ["refused", "not answered", "not answered"]
    shown = text(found)
    assert "HTTP 404: Overloaded: cassettes/test_it/test_gone.1.jsonl" in shown
    assert "HTTP 529, overloaded_error: cassettes/test_it/test_busy.1.jsonl" in shown
    assert "ConnectError: cassettes/test_it/test_off.1.jsonl" in shown


def test_a_call_that_failed_before_it_was_sent_is_no_change_of_shape() -> None:
    recorded = streamed(asked(), [(200, "text", "a")])
    ended = replace(recorded, response=None, chunks=(), end=End(1, closed="client"))

    found = drift(again(recorded, ended))

    assert [fact["state"] for fact in found["recordings"]] == ["not answered"]
    assert found["drift"] == []


def test_what_was_refused_when_it_was_recorded_is_no_drift() -> None:
    found = drift(again(refused(status=400), refused(status=400)))

    assert found["drift"] == []
    assert found["counts"]["compared"] == 1


def test_what_is_answered_now_and_was_refused_when_it_was_recorded_is_told() -> None:
    found = drift(again(refused(status=404), whole()))

    assert found["drift"] == ["1 call no longer refused"]
    assert found["counts"]["compared"] == 0
    shown = text(found)
    assert (
        "answered now, refused when it was recorded\n  HTTP 404: Overloaded: cassettes/test_it/test_a.1.jsonl" in shown
    )
    assert "1 recording: 0 compared, 1 no longer refused" in shown


def test_an_answer_that_the_program_cut_short_is_compared_as_far_as_it_goes() -> None:
    recorded = streamed(pieces=[(100, "text", "a"), (200, "text", "b")])
    end = recorded.end
    assert end is not None
    cut = replace(recorded, chunks=recorded.chunks[:-2], end=replace(end, closed="client"))

    found = drift(again(cut, recorded))

    assert (found["drift"], found["shape"], found["speed"]) == ([], [], [])
    assert found["counts"]["compared"] == 1


def test_what_cannot_be_sent_again_is_told_by_its_reason() -> None:
    def planned(*exchanges: Exchange, name: str) -> SentAgain:
        def never(request: Request) -> Request:
            raise AssertionError(request)

        plan = Planned.of(Path(f"{name}.1.jsonl"), recording(*exchanges), never)
        return SentAgain(plan, reason="" if plan.obstacle is None else plan.obstacle.reason)

    found = drift(
        planned(whole(asked("Mail [redacted]")), name="redacted"),
        planned(unanswered(), name="unanswered"),
        planned(name="empty"),
    )

    assert pages.verdict_of(found) == "nothing could be compared"
    shown = text(found, 120)
    assert "its recorded request holds [redacted]: redacted.1.jsonl" in shown
    assert "the recorded call got no answer to compare with: unanswered.1.jsonl" in shown
    assert "no call in it makes a message: sessions, batches and token counts are not sent again: empty" in shown


def test_the_first_call_that_can_be_sent_again_is_the_one() -> None:
    kept = recording(whole(asked("Mail [redacted]")), whole(asked("Hello"), sent=2000))

    plan = Planned.of(Path("a.1.jsonl"), kept, lambda request: request)

    assert plan.request == kept.exchanges[1].request


def test_files_that_cannot_be_read_are_told() -> None:
    assert "not read\n  cannot read the recording a.jsonl" in text(
        drift(*suite(1.0), unreadable=["cannot read the recording a.jsonl"])
    )


def test_both_pages_stay_short_with_hundreds_of_recordings_and_fit_the_terminal() -> None:
    calls = [again(whole(asked(str(place))), refused(status=404), f"test_{place}") for place in range(300)]
    calls += suite(1.2, count=8) * 15
    found = drift(*calls)

    assert len(pages.markdown(found)) < 60_000
    assert " and 297 more" in " ".join(text(found).split())
    assert max(map(len, pages.text_lines(found, 80))) <= 80
