"""Dates in recorded headers keep their distance from the moment of recording."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_claude_latency.cassettes.header_dates import on_the_calendar
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.messages_api.exchange import Response
from pytest_claude_latency.virtual_time.scheduling import real_clock
from tests.support.some_recording import answering, recording

RECORDED = datetime(2026, 11, 22, 11, 30, tzinfo=UTC)
A_DAY_LATER = RECORDED + timedelta(days=1, seconds=5)


def with_header(name: str, value: str) -> Recording:
    return recording(replace(answering(b"{}"), response=Response(0, 503, ((name, value), ("request-id", "r")))))


def value_in(moved: Recording) -> str:
    (exchange,) = moved.exchanges
    assert exchange.response is not None
    return exchange.response.headers[0][1]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("retry-after", "Sun, 22 Nov 2026 11:30:03 GMT", "Mon, 23 Nov 2026 11:30:08 GMT"),
        ("retry-after", "Sunday, 22-Nov-26 11:30:03 GMT", "Mon, 23 Nov 2026 11:30:08 GMT"),
        ("anthropic-ratelimit-tokens-reset", "2026-11-22T11:30:03Z", "2026-11-23T11:30:08Z"),
        ("x-ratelimit-reset-at", "2026-11-22T13:30:03.250+02:00", "2026-11-23T13:30:08.250+02:00"),
        ("x-ratelimit-reset", "1795347003", "1795433408"),
        ("x-ratelimit-reset", "1795347003250", "1795433408250"),
    ],
)
def test_a_date_moves_with_the_calendar(name: str, value: str, expected: str) -> None:
    moved, date = on_the_calendar(with_header(name, value), A_DAY_LATER)

    assert (value_in(moved), date) == (expected, A_DAY_LATER)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retry-after", "3"),
        ("retry-after", "Sun, 99 Nov 2026 11:30:03 GMT"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-remaining-tokens", "1795347003"),
        ("anthropic-version", "2023-06-01"),
        ("retry-after", "9999-12-31T23:59:59Z"),
    ],
)
def test_what_is_no_date_stays(name: str, value: str) -> None:
    recorded = with_header(name, value)

    assert on_the_calendar(recorded, None) == (recorded, None)


def test_a_replay_today_begins_whole_seconds_after_the_recording() -> None:
    recorded = replace(with_header("retry-after", "Sun, 22 Nov 2026 11:30:03 GMT"), recorded="2026-11-22T11:30:00.905Z")

    moved, date = on_the_calendar(recorded, None)

    assert date is not None
    assert date.microsecond == 905_000
    today = datetime.fromtimestamp(real_clock.time_ns() / 1e9, UTC)  # tests in this process may have moved its clock
    assert abs(date - today) < timedelta(seconds=5)
    there = datetime.strptime(value_in(moved), "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert there - date == timedelta(seconds=2.095)
