"""Where limits stand on a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_claude_latency.report.faces.limits import limits_of, name_of
from pytest_claude_latency.report.faces.payload import Texts

CALL = {"sent": 1.0, "ttft": 0.4, "total": 2.0, "longest_gap": 0.5, "longest_gap_span": [0.6, 1.1], "output_tokens": 9}
SEGMENTS = [["thinking", 0.0, 1.0], ["application", 1.0, 1.5], ["thinking", 1.5, 3.0], ["thinking", 3.0, 3.5]]


def drawn(metric: str, limit: float, measured: float | None = None, **more: Any) -> list[tuple[Any, ...]]:
    """Each limit: its bar, its text, where it is, whether it is broken, and what is over it."""
    budget = {"metric": metric, "statistic": None, "limit": limit, "measured": measured, "call": 1, **more}
    test = {
        "elapsed": 3.5,
        "origin": 0.25,
        "began": 0.1,
        "path_segments": SEGMENTS,
        "calls": [CALL, {**CALL, "sent": 2.0, "ttft": 0.2}, {**CALL, "given_up": True}],
        "budgets": [budget],
    }
    return shown(test)


def shown(test: dict[str, Any], percentiles: Sequence[dict[str, Any]] = ()) -> list[tuple[Any, ...]]:
    """The same of any test."""
    texts = Texts()
    found = limits_of(test, texts.place, percentiles)
    return [(bar, texts.all()[text], at, bool(over), *spans) for bar, _, text, at, over, *spans in found]


def test_a_moment_is_limited_on_each_call_that_is_judged() -> None:
    assert drawn("ttft", 0.3) == [
        (1, "ttft 300ms, +100ms", 1_300_000, True, 1_300_000, 1_400_000),
        (2, "ttft 300ms", 2_300_000, False),
    ]


def test_a_limit_on_some_calls_stands_on_the_one_that_decided() -> None:
    assert [bar for bar, *_ in drawn("ttft", 0.3, selector={"call": 2}, call=2)] == [2]


def test_the_longest_gap_is_limited_where_it_should_have_ended() -> None:
    (first, _) = drawn("longest_gap", 0.2)

    assert first == (1, "longest_gap 200ms, +300ms", 1_800_000, True, 1_800_000, 2_100_000)


def test_a_part_is_limited_where_it_has_used_up_its_time() -> None:
    assert drawn("thinking", 2.0, 3.0) == [
        (0, "thinking 2.000s, +1.000s", 2_750_000, True, 2_750_000, 3_250_000, 3_250_000, 3_750_000)
    ]
    assert drawn("thinking", 5.0, 3.0) == [(0, "thinking at most 5.000s", -1, False)]


@pytest.mark.parametrize(
    ("metric", "limit", "measured", "text"),
    [
        ("output_tokens", 8, 9, "output_tokens 9, at most 8"),
        ("output_tokens", 10, 9, "output_tokens at most 10"),
        ("calls", 2, 3, "calls 3, at most 2"),
    ],
)
def test_a_count_stands_in_the_label(metric: str, limit: float, measured: float, text: str) -> None:
    assert drawn(metric, limit, measured)[0][1:4] == (text, -1, measured > limit)


@pytest.mark.parametrize(
    ("metric", "measured", "expected"),
    [
        ("ttft", 1.2, (-1, "ttft 1.000s, +200ms", 1_500_000, True, 1_500_000, 1_700_000)),
        ("total", None, (-1, "total 1.000s", 1_500_000, False)),
        ("longest_gap", 1.5, (-1, "longest_gap 1.500s, at most 1.000s", -1, True)),
    ],
)
def test_a_limit_on_a_watched_output_counts_from_its_start(
    metric: str, measured: float | None, expected: tuple[Any, ...]
) -> None:
    budget = {"metric": metric, "statistic": None, "limit": 1.0, "measured": measured}
    texts = Texts()

    ((bar, number, text, *rest),) = limits_of(
        {"budgets": [], "calls": [], "watched": [{"start": 0.5, "budgets": [budget]}]}, texts.place
    )

    assert (bar, texts.all()[text], rest[0], bool(rest[1]), *rest[2:]) == expected
    assert number == 0


def test_the_first_token_counts_from_the_start_of_the_body() -> None:
    assert drawn("first_token", 0.5, 0.9) == [(0, "first_token 500ms, +400ms", 600_000, True, 600_000, 1_000_000)]
    assert drawn("first_token", 0.5, None) == [(0, "first_token 500ms", 600_000, False)]


def test_a_percentile_is_a_line_on_each_sample_and_marks_what_is_over_it_only_if_broken() -> None:
    verdicts = [{"metric": "ttft", "statistic": "p95", "limit": 0.3, "measured": 0.4, "verdict": "kept"}]
    test = {"budgets": [], "calls": [CALL], "elapsed": 3.5, "path_segments": SEGMENTS}

    assert shown(test, verdicts) == [(1, "ttft p95 300ms, +100ms", 1_300_000, False)]
    verdicts[0]["verdict"] = "broken"
    assert shown(test, verdicts * 2) == [(1, "ttft p95 300ms, +100ms", 1_300_000, True, 1_300_000, 1_400_000)]
    verdicts[0] |= {"metric": "thinking", "limit": 2.4}
    assert shown(test, verdicts)[0][:4] == (0, "thinking p95 2.400s, +600ms", 2_900_000, True)
    verdicts[0] |= {"metric": "ttft", "selector": {"when": {"model": "claude-*"}}}
    assert shown(test, verdicts) == [(0, "ttft p95 at most 2.400s", -1, False)]


@pytest.mark.parametrize(
    ("metric", "limit", "expected"),
    [
        ("ttft", 0.3, [(2, "block 1: ttft 300ms", 2_300_000, False)]),
        ("calls", 0, [(-1, "calls 3, at most 0", -1, True)]),
        ("elapsed", 0.6, [(-1, "elapsed 600ms, +400ms", 2_600_000, True, 2_600_000, 3_000_000)]),
        ("first_token", 0.6, [(-1, "first_token 600ms, +400ms", 2_100_000, True, 2_100_000, 2_500_000)]),
        ("thinking", 0.6, [(-1, "thinking 1.000s, at most 600ms", -1, True)]),
    ],
)
def test_a_limit_of_a_block_stands_on_the_calls_of_the_block_or_on_the_block(
    metric: str, limit: float, expected: list[Any]
) -> None:
    budget = {"metric": metric, "statistic": None, "limit": limit, "measured": 1.0, "call": 2, "verdict": "kept"}
    budget |= {"measured": 3} if metric == "calls" else {}
    block = {"place": "test_it.py:3", "start": 1.5, "end": 3.5, "calls": [2], "budgets": [budget]}

    found = shown({"budgets": [], "blocks": [block], "calls": [CALL, {**CALL, "sent": 2.0, "ttft": 0.2}]})

    assert found == expected


def test_a_limit_on_sessions_stands_on_their_streams() -> None:
    selector = {"when": {"endpoint": "session"}}
    budget = {"metric": "ttft", "statistic": None, "limit": 0.3, "measured": 0.4, "call": 1, "selector": selector}

    found = shown({"budgets": [budget], "calls": [CALL], "session_calls": [CALL]})

    assert found == [(-1, "ttft 300ms, +100ms", 1_300_000, True, 1_300_000, 1_400_000)]


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "ttft"),
        ({"statistic": "p95", "selector": {"call": 2}}, "ttft (call=2) p95"),
        ({"selector": {"when": {"endpoint": "session"}}, "block": 1}, "ttft of a session (block 1)"),
        ({"selector": {"when": {"stream": True}}}, "ttft (when stream=true)"),
        ({"output": 2}, "ttft (watched output 2)"),
    ],
)
def test_a_limit_has_the_name_that_messages_give_it(more: dict[str, Any], name: str) -> None:
    assert name_of({"metric": "ttft", "statistic": None, **more}) == name
