from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.budgets.budget import Budget, combine
from pytest_claude_latency.budgets.judgement import (
    ACCEPT_NO_CALL,
    NO_CALL,
    NO_VALUE,
    PROMISES_NOTHING,
    WHY_NO_CALL,
    Judgement,
    message,
)
from pytest_claude_latency.budgets.limit import Limit, NoLimit, parse_expression, parse_marker
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.metrics.given_up import times_that_count
from pytest_claude_latency.metrics.metric import METRICS, Reading
from pytest_claude_latency.metrics.timeline import Call
from tests.support.some_call import calls, some_call

MARKER = "@latency_budget on tests/test_triage.py::test_label"
OPTION = "--latency-limits"
MS = 1_000_000

AT_MOST_SPANS = ["ttfb", "ttft", "ttfa", "total", "longest_gap", "tpot"]


def budget(**limits: object) -> Budget:
    return combine([parse_marker(limits, MARKER)])


def judge(measured: Sequence[Call], limit: dict[str, Any], elapsed: float | None = 1.0) -> Judgement:
    """The one judgement of a budget with one limit."""
    (judgement,) = budget(**limit).judge(measured, elapsed, direct=True)
    return judgement


# ── reading markers ──


def test_a_marker_takes_text_seconds_and_timedeltas() -> None:
    limits = parse_marker({"ttft": "800ms", "total": 1.5, "elapsed": timedelta(seconds=2), "calls": 3}, MARKER)

    assert limits == (
        Limit("ttft", None, 800 * MS, MARKER),
        Limit("total", None, 1500 * MS, MARKER),
        Limit("elapsed", None, 2000 * MS, MARKER),
        Limit("calls", None, 3, MARKER),
    )


def test_a_marker_with_none_lifts_the_metric() -> None:
    assert parse_marker({"ttft": None}, MARKER) == (NoLimit("ttft", MARKER),)


def test_a_marker_takes_percentiles_of_a_duration() -> None:
    limits = parse_marker({"ttft": {"p50": "600ms", "p99.9": 1.2}}, MARKER)

    assert limits == (Limit("ttft", "p50", 600 * MS, MARKER), Limit("ttft", "p99.9", 1200 * MS, MARKER))


@pytest.mark.parametrize(("written", "name"), [("p5", "p5"), ("p05", "p5"), ("p50.0", "p50"), ("p99.90", "p99.9")])
def test_a_percentile_has_one_name_however_it_is_written(written: str, name: str) -> None:
    (limit,) = parse_marker({"ttft": {written: "1s"}}, MARKER)

    assert isinstance(limit, Limit)
    assert limit.statistic == name


@pytest.mark.parametrize("name", ["p0", "p0.0", "p100", "p150", "p-1", "pNaN", "p", "50", "median", "p1e1", 50, None])
def test_a_text_that_is_not_a_percentile_is_refused(name: object) -> None:
    with pytest.raises(LimitError, match=r"is not a percentile; accepted: p50, p95, p99\.9"):
        parse_marker({"ttft": {name: "1s"}}, MARKER)


def test_the_same_percentile_twice_is_refused() -> None:
    with pytest.raises(LimitError, match="not a set of percentiles"):
        parse_marker({"ttft": {"p50": "1s", "p50.0": "2s"}}, MARKER)


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.kind != "duration"])
def test_only_durations_take_percentiles(metric: str) -> None:
    with pytest.raises(LimitError, match=f"{metric} takes no percentile, got 'p50'; accepted: "):
        parse_marker({metric: {"p50": 3}}, MARKER)


@pytest.mark.parametrize(
    ("written", "meant"), [("tftt", "ttft"), ("TTFT", "ttft"), ("output_token", "output_tokens"), ("speed", None)]
)
def test_an_unknown_metric_is_refused_with_the_nearest_one(written: str, meant: str | None) -> None:
    with pytest.raises(LimitError) as refused:
        parse_marker({written: "1s"}, MARKER)

    assert str(refused.value).startswith(f"{MARKER}: unknown metric '{written}'")
    assert (f"; did you mean '{meant}'?" in str(refused.value)) == (meant is not None)
    assert "output_tokens_per_second" in str(refused.value)


def test_a_positional_argument_is_refused() -> None:
    with pytest.raises(LimitError, match=r"'fast' has no metric name; accepted: .*latency_budget\(ttft=\"800ms\"\)"):
        parse_marker({}, MARKER, args=("fast",))


NO_SPAN: list[object] = ["fast", "5", "5 tokens", -1, True, float("nan"), {}]
NO_COUNT: list[object] = ["5ms", "5", 2.5, -1, True, float("nan"), float("inf"), timedelta(1)]
NO_RATE: list[object] = ["40", "40/s", -0.1, False, float("nan")]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        *(("ttft", value) for value in NO_SPAN),
        *(("elapsed", value) for value in NO_SPAN),
        *(("calls", value) for value in NO_COUNT),
        *(("output_tokens_per_second", value) for value in NO_RATE),
    ],
)
def test_a_value_that_does_not_fit_its_metric_is_refused_with_place_and_forms(metric: str, value: object) -> None:
    with pytest.raises(LimitError) as refused:
        parse_marker({metric: value}, MARKER)

    assert str(refused.value).startswith(f"{MARKER}: {metric}")
    assert "accepted: " in str(refused.value)


def test_a_count_may_be_a_float_that_is_whole() -> None:
    assert parse_marker({"output_tokens": 1e3}, MARKER) == (Limit("output_tokens", None, 1000, MARKER),)


# ── reading the textual form ──


def test_the_textual_form_takes_limits_separated_by_spaces() -> None:
    limits = parse_expression(" ttft<800ms  ttft.p95<1.2s output_tokens_per_second>40.5 cache_read_tokens>9 ", OPTION)

    assert limits == (
        Limit("ttft", None, 800 * MS, OPTION),
        Limit("ttft", "p95", 1200 * MS, OPTION),
        Limit("output_tokens_per_second", None, 40.5, OPTION),
        Limit("cache_read_tokens", None, 9, OPTION),
    )


def test_no_text_is_no_limit() -> None:
    assert parse_expression("  ", OPTION) == ()


@pytest.mark.parametrize("text", ["ttft<800ms", "ttft <800ms", "ttft < 800ms", "ttft<=800ms", "ttft <= 800ms"])
def test_spaces_around_the_sign_and_an_equals_sign_change_nothing(text: str) -> None:
    assert parse_expression(text, OPTION) == (Limit("ttft", None, 800 * MS, OPTION),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast", "'fast' is not a limit; accepted: metric<limit or metric.p95<limit"),
        ("ttft=1s", "'ttft=1s' is not a limit"),
        ("total<3s ttft", "'ttft' is not a limit"),
        ("ttft<", "'ttft<' is not a limit"),
        ("<1s", "'<1s' is not a limit"),
        ("1s>ttft", "unknown metric '1s'"),
        ("tftt<1s", "unknown metric 'tftt'; did you mean 'ttft'?"),
        ("ttft>1s", "'ttft>1s': ttft is limited to at most a value; accepted: ttft<1s"),
        ("cache_read_tokens<9", "cache_read_tokens is limited to at least a value; accepted: cache_read_tokens>9"),
        ("ttft<800", "'800' is not a duration; accepted: a number and its unit, such as 800ms"),
        ("ttft<-1s", "'-1s' is not a duration"),
        ("calls<5ms", "'5ms' is not a count; accepted: a whole number"),
        ("calls<1.5", "1.5 is not whole; accepted: a whole number"),
        ("ttft<800m", '\'800m\' is 800 minutes: write "800ms" or "800min"; accepted: a number and its unit'),
        ("ttft<1s ttft<2s", "ttft is limited more than once"),
        ("ttft.p50<1s ttft.p50<2s", "ttft is limited more than once"),
        ("ttft.p0<1s", "'p0' is not a percentile"),
        ("calls.p50<3", "calls takes no percentile"),
    ],
)
def test_text_that_is_not_understood_is_refused_by_the_piece(text: str, said: str) -> None:
    with pytest.raises(LimitError) as refused:
        parse_expression(text, OPTION)

    assert str(refused.value).startswith(f"{OPTION}: ")
    assert said in str(refused.value)


def any_limit() -> st.SearchStrategy[Limit]:
    def of(name: str) -> st.SearchStrategy[Limit]:
        metric = METRICS[name]
        if metric.kind == "duration":
            statistics = st.none() | st.sampled_from(["p1", "p50", "p99", "p99.9"])
            return st.builds(Limit, st.just(name), statistics, st.integers(0, 10**15), st.just(OPTION))
        values: st.SearchStrategy[int | float] = st.integers(0, 10**9)
        if metric.kind == "rate":
            values = values | st.floats(0, 1e6).filter(lambda number: number != int(number))
        return st.builds(Limit, st.just(name), st.none(), values, st.just(OPTION))

    return st.sampled_from(list(METRICS)).flatmap(of)


@given(any_limit())
def test_any_limit_is_read_back_from_its_text(limit: Limit) -> None:
    assert parse_expression(limit.text(), OPTION) == (limit,)


# ── combining ──


def test_the_closest_place_wins_metric_by_metric() -> None:
    combined = combine(
        [
            parse_marker({"ttft": "1s"}, "function"),
            parse_marker({"ttft": "2s", "total": "3s"}, "class"),
            parse_expression("total<4s calls<5", OPTION),
        ]
    )

    assert [(limit.text(), limit.origin) for limit in combined.limits] == [
        ("ttft<1s", "function"),
        ("total<3s", "class"),
        ("calls<5", OPTION),
    ]


def test_none_lifts_a_limit_from_further_out_but_not_one_closer() -> None:
    lifted = parse_marker({"ttft": None, "total": None}, "class")

    combined = combine([parse_marker({"total": "1s"}, "function"), lifted, parse_expression("ttft<2s", OPTION)])

    assert [limit.text() for limit in combined.limits] == ["total<1s"]


def test_a_plain_limit_replaces_the_percentiles_of_a_place_further_out() -> None:
    combined = combine([parse_marker({"ttft": "1s"}, "function"), parse_expression("ttft.p95<2s", OPTION)])

    assert [limit.text() for limit in combined.limits] == ["ttft<1s"]


def test_percentiles_are_told_from_the_limits_that_every_sample_must_keep() -> None:
    combined = combine([parse_marker({"ttft": {"p95": "2s"}, "total": "3s"}, MARKER)])

    assert [limit.text() for limit in combined.percentiles] == ["ttft.p95<2s"]
    assert [limit.text() for limit in combined.plain_limits] == ["total<3s"]


def test_a_run_of_one_sample_judges_no_percentile() -> None:
    combined = combine([parse_marker({"ttft": {"p95": "1us"}}, MARKER)])

    assert combined.judge([some_call(ttft=9.0)], 9.0, direct=True) == ()


@given(st.lists(st.lists(any_limit().filter(lambda limit: limit.statistic is None), max_size=4), max_size=4))
def test_any_metric_is_decided_by_the_first_layer_that_names_it(layers: list[list[Limit]]) -> None:
    unique = [list({limit.metric: limit for limit in layer}.values()) for layer in layers]

    combined = combine(unique)

    expected = {limit.metric: limit for layer in reversed(unique) for limit in layer}
    assert {limit.metric: limit for limit in combined.limits} == expected
    assert len(combined.limits) == len(expected)


# ── judging ──


@pytest.mark.parametrize("metric", AT_MOST_SPANS)
def test_a_duration_equal_to_its_limit_keeps_it_and_a_nanosecond_more_breaks_it(metric: str) -> None:
    call = some_call(**{metric: 0.8})

    assert judge([call], {metric: "800ms"}).verdict == "kept"
    assert judge([call], {metric: "799.999999ms"}).verdict == "broken"


@pytest.mark.parametrize("metric", ["output_tokens_per_second", "cache_read_tokens"])
def test_an_at_least_metric_breaks_below_its_limit(metric: str) -> None:
    call = some_call(**{metric: 40})

    assert judge([call], {metric: 40}).verdict == "kept"
    assert judge([call], {metric: 41}).verdict == "broken"


def test_the_worst_call_decides() -> None:
    measured = [some_call(ttft=0.4), some_call(ttft=1.24), some_call(ttft=0.9)]

    judgement = judge(measured, {"ttft": "800ms"})

    assert (judgement.measured, judgement.call, judgement.call_count, judgement.verdict) == (1240 * MS, 2, 3, "broken")


def test_the_slowest_rate_is_the_worst() -> None:
    measured = [some_call(output_tokens_per_second=rate) for rate in (80.0, 31.25, 60.0)]

    judgement = judge(measured, {"output_tokens_per_second": 30})

    assert (judgement.measured, judgement.call, judgement.verdict) == (31.25, 2, "kept")


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("ttfb", "no response came"),
        ("ttft", "no token came"),
        ("ttfa", "no answer token came"),
        ("total", "the answer had not ended"),
    ],
)
def test_a_moment_that_never_came_breaks_its_limit_however_late_the_others_were(metric: str, reason: str) -> None:
    measured = [some_call(**{metric: 99.0}), some_call(**{metric: None})]

    judgement = judge(measured, {metric: "100s"})

    assert (judgement.verdict, judgement.measured, judgement.call, judgement.reason) == ("broken", None, 2, reason)


@pytest.mark.parametrize(
    "metric", ["longest_gap", "tpot", "output_tokens", "prompt_tokens", "output_tokens_per_second"]
)
def test_a_call_that_does_not_have_a_metric_leaves_the_verdict_to_the_others(metric: str) -> None:
    judgement = judge([some_call(**{metric: None}), some_call(**{metric: 1})], {metric: 1})

    assert (judgement.verdict, judgement.call) == ("kept", 2)


@pytest.mark.parametrize(
    "metric", ["longest_gap", "tpot", "output_tokens", "prompt_tokens", "output_tokens_per_second"]
)
def test_a_metric_that_no_call_has_is_not_measured(metric: str) -> None:
    judgement = judge([some_call(**{metric: None})], {metric: 1})

    assert (judgement.verdict, judgement.measured, judgement.call) == ("not measured", None, None)
    assert judgement.reason == NO_VALUE.format(metric=metric)


def test_an_answer_that_reports_no_cache_read_counts_as_none_read() -> None:
    judgement = judge([some_call(cache_read_tokens=None)], {"cache_read_tokens": 1})

    assert (judgement.verdict, judgement.measured) == ("broken", 0)


def test_elapsed_and_calls_are_judged_once_for_the_whole_test() -> None:
    judgements = budget(elapsed="2s", calls=1).judge([some_call(), some_call()], 2.5, direct=True)

    assert [(judgement.metric, judgement.measured, judgement.call, judgement.verdict) for judgement in judgements] == [
        ("elapsed", 2500 * MS, None, "broken"),
        ("calls", 2, None, "broken"),
    ]


def test_elapsed_breaks_where_no_answer_had_ended() -> None:
    judgement = judge([some_call(total=None)], {"elapsed": "2s"}, elapsed=None)

    assert (judgement.verdict, judgement.reason) == ("broken", "no answer had ended")


@given(st.lists(calls(), min_size=1, max_size=4), st.sampled_from(AT_MOST_SPANS), st.integers(0, 10**13))
def test_any_duration_limit_is_broken_exactly_by_a_longer_or_missing_one(
    measured: list[Call], metric: str, limit: int
) -> None:
    judgement = Budget((Limit(metric, None, limit, MARKER),)).judge(measured, None, direct=True)[0]

    # the losers of a hedge have no times that count
    found: list[float | None] = [getattr(call, metric) for call in times_that_count(measured)]
    present = [round(seconds * 10**9) for seconds in found if seconds is not None]
    optional = metric in {"longest_gap", "tpot"}
    if optional and not present:
        assert judgement.verdict == "not measured"
    elif max(present, default=0) > limit or (not optional and None in found):
        assert judgement.verdict == "broken"
    else:
        assert judgement.verdict == "kept"


# ── promises about no call ──


def test_a_budget_of_the_test_itself_is_broken_where_no_call_was_made() -> None:
    judgements = budget(ttft="1s", elapsed="1s", calls=2).judge([], None, direct=True)

    assert {judgement.verdict for judgement in judgements} == {"broken"}
    assert {judgement.reason for judgement in judgements} == {NO_CALL}


def test_an_inherited_budget_over_no_call_is_not_broken() -> None:
    judgements = budget(ttft="1s", elapsed="1s").judge([], None, direct=False)

    assert {judgement.verdict for judgement in judgements} == {"no calls"}


@pytest.mark.parametrize("direct", [True, False])
def test_calls_0_promises_no_call_and_is_kept_by_none(direct: bool) -> None:
    silent = budget(calls=0)

    assert [judgement.verdict for judgement in silent.judge([], None, direct=direct)] == ["kept"]
    assert [judgement.verdict for judgement in silent.judge([some_call()], 1.0, direct=direct)] == ["broken"]


def test_beside_calls_0_other_limits_have_nothing_to_judge() -> None:
    judgements = budget(calls=0, ttft="1s", elapsed="1s").judge([], 0.5, direct=True)

    assert [(judgement.metric, judgement.verdict) for judgement in judgements] == [
        ("ttft", "no calls"),
        ("elapsed", "kept"),
        ("calls", "kept"),
    ]


def test_an_unjudged_budget_tells_its_limits_and_nothing_else() -> None:
    judgements = budget(ttft="1s", calls=2).unjudged()

    assert [(judgement.limit.text(), judgement.measured, judgement.verdict) for judgement in judgements] == [
        ("ttft<1s", None, "not judged"),
        ("calls<2", None, "not judged"),
    ]


# ── the failure message ──


def failure_text(
    measured: Sequence[Call], limits: dict[str, Any], elapsed: float | None = 1.0, recording: str | None = None
) -> str:
    return message(budget(**limits).judge(measured, elapsed, direct=True), measured, recording)


def test_a_broken_budget_reads_verdict_promise_measurement_evidence() -> None:
    measured = [some_call(), some_call(ttft=1.24, ttfa=1.24), some_call()]

    text = failure_text(measured, {"ttft": "800ms"}, recording="tests/cassettes/test_triage/test_label.1.jsonl")

    assert text.splitlines() == [
        "ttft was 1.240s, 440ms over the budget of 800ms",
        "  budget    ttft<800ms                   @latency_budget on tests/test_triage.py::test_label",
        "  measured  1.240s                       call 2 of 3, claude-haiku-4-5, streamed",
        "  timeline  sent 0ms · headers 310ms · first token 1240ms · end 2875ms",
        "  recording tests/cassettes/test_triage/test_label.1.jsonl",
    ]


def headline_of(text: str) -> str:
    return text.splitlines()[0]


@pytest.mark.parametrize(
    ("facts", "limits", "said"),
    [
        ({"output_tokens": 310}, {"output_tokens": 300}, "output_tokens were 310, 10 over the budget of 300"),
        ({"attempts": 3}, {"attempts": 1}, "attempts were 3, 2 over the budget of 1"),
        ({"cache_read_tokens": 0}, {"cache_read_tokens": 9}, "cache_read_tokens were 0, 9 under the budget of 9"),
        (
            {"output_tokens_per_second": 31.2},
            {"output_tokens_per_second": 40},
            "output_tokens_per_second was 31.2 tokens/s, 8.8 under the budget of 40",
        ),
        ({"total": 3.5}, {"total": "3s"}, "total was 3.500s, 500ms over the budget of 3s"),
        ({"ttft": None}, {"ttft": "1s"}, "ttft has no value, no token came: it breaks the budget of 1s"),
    ],
)
def test_the_first_line_says_by_how_much_in_the_unit_of_the_metric(
    facts: dict[str, Any], limits: dict[str, Any], said: str
) -> None:
    assert headline_of(failure_text([some_call(**facts)], limits)) == said


def test_a_measurement_that_rounds_to_its_limit_is_shown_with_all_its_digits() -> None:
    assert headline_of(failure_text([some_call(ttft=0.8004)], {"ttft": "800ms"})) == (
        "ttft was 800.4ms, 0.4ms over the budget of 800ms"
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"streamed": False}, "claude-haiku-4-5, not streamed (its first token came with its last)"),
        ({"attempts": 2}, "claude-haiku-4-5, streamed, 2 attempts"),
        ({"error": "overloaded_error"}, "claude-haiku-4-5, streamed, ended by overloaded_error"),
        ({"closed": "client"}, "claude-haiku-4-5, streamed, closed by the client"),
        ({"model": None}, "model unknown, streamed"),
    ],
)
def test_the_measured_line_tells_what_kind_of_call_it_was(facts: dict[str, Any], said: str) -> None:
    text = failure_text([some_call(ttft=2.0, **facts)], {"ttft": "1s"})

    assert text.splitlines()[2].endswith(f"call 1 of 1, {said}")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"ttfa": 1.9}, "sent 0ms · headers 310ms · first token 412ms · first answer token 1900ms · end 2875ms"),
        ({"streamed": False, "ttft": 2.875, "ttfa": 2.875}, "sent 0ms · headers 310ms · end 2875ms"),
        ({"ttfa": None}, "sent 0ms · headers 310ms · first token 412ms · end 2875ms"),
        ({"total": None}, "sent 0ms · headers 310ms · first token 412ms · not ended"),
        ({"ttfb": None, "ttft": None, "ttfa": None}, "sent 0ms · end 2875ms"),
    ],
)
def test_the_timeline_shows_the_moments_there_were(facts: dict[str, Any], said: str) -> None:
    text = failure_text([some_call(attempts=9, **facts)], {"attempts": 1})

    assert text.splitlines()[3] == f"  timeline  {said}"


def test_a_broken_budget_says_which_line_of_the_program_made_the_call() -> None:
    text = failure_text([some_call(location="app/llm.py:56 in classify", attempts=9)], {"attempts": 1})

    assert "\n  made at   app/llm.py:56 in classify\n  timeline  sent" in text


def test_the_overview_of_a_test_tells_its_calls_apart_by_their_lines() -> None:
    calls = [some_call(location=f"app/llm.py:{line} in classify", total=1.0) for line in (56, 64)]

    lines = failure_text(calls, {"elapsed": "2s"}, 2.5).splitlines()

    assert lines[3:5] == [
        "  timeline  call 1  sent 0ms · end 1000ms  claude-haiku-4-5, app/llm.py:56",
        "            call 2  sent 0ms · end 1000ms  claude-haiku-4-5, app/llm.py:64",
    ]
    assert max(map(len, lines[3:5])) < 80


def test_a_limit_on_the_whole_test_shows_every_call_on_its_clock() -> None:
    calls = [some_call(total=1.0), some_call(sent=1.0, total=1.5), some_call(sent=1.0, total=None)]

    text = failure_text(calls, {"elapsed": "2s"}, 2.5)

    assert text.splitlines()[2:] == [
        "  measured  2.500s                       all calls together",
        "  timeline  call 1  sent 0ms · end 1000ms  claude-haiku-4-5",
        "            call 2  sent 1000ms · end 2500ms  claude-haiku-4-5",
        "            call 3  sent 1000ms · not ended  claude-haiku-4-5",
    ]


def test_a_late_first_token_shows_when_each_streamed_call_began_to_answer() -> None:
    calls = [
        some_call(streamed=False, total=1.0, location="app/llm.py:9 in plan"),
        some_call(sent=1.0, ttft=0.2, ttfa=1.2, total=1.5, location="app/llm.py:14 in write"),
        some_call(sent=2.5, ttft=0.2, ttfa=0.2, total=1.5, location="app/llm.py:14 in write"),
    ]
    limits = budget(first_token="2s", elapsed="1h")
    judgements = limits.judge(calls, 4.0, direct=True, test_readings={"first_token": Reading(2_200_000_000)})

    assert message(judgements, calls, None).splitlines()[3:] == [
        "  timeline  call 1  sent 0ms · end 1000ms  claude-haiku-4-5, app/llm.py:9",
        "            call 2  sent 1000ms · first answer token 2200ms · end 2500ms",
        "              claude-haiku-4-5, app/llm.py:14",
        "            call 3  sent 2500ms · first token 2700ms · end 4000ms",
        "              claude-haiku-4-5, app/llm.py:14",
    ]


def test_of_many_calls_the_first_are_shown_and_the_others_counted() -> None:
    lines = failure_text([some_call()] * 30, {"calls": 3}).splitlines()

    assert lines[-1].strip() == "and 22 more"
    assert len(lines) == 12


def test_several_broken_limits_give_a_block_each_the_worst_first() -> None:
    measured = [some_call(ttft=1.0, total=9.0, output_tokens=110)]

    blocks = failure_text(measured, {"ttft": "500ms", "total": "3s", "output_tokens": 100, "attempts": 1}).split("\n\n")

    assert [headline_of(block).split()[0] for block in blocks] == ["total", "ttft", "output_tokens"]


def test_a_promise_over_no_call_is_explained_once_for_all_its_limits() -> None:
    text = failure_text([], {"ttft": "800ms", "total": "3s"})

    assert text.splitlines() == [
        PROMISES_NOTHING,
        "  budget    ttft<800ms                   @latency_budget on tests/test_triage.py::test_label",
        "  budget    total<3s                     @latency_budget on tests/test_triage.py::test_label",
        f"  measured  0 calls                      {WHY_NO_CALL}",
        f"  accept    calls=0                      {ACCEPT_NO_CALL}",
    ]


def test_kept_limits_leave_nothing_to_say() -> None:
    assert failure_text([some_call()], {"ttft": "800ms", "total": "3s"}) == ""


@given(st.lists(calls(), max_size=3), st.sampled_from(list(METRICS)), st.none() | st.floats(0, 100))
def test_any_broken_limit_has_a_message_that_names_it_and_no_other_has(
    measured: list[Call], metric: str, elapsed: float | None
) -> None:
    holding = Budget((Limit(metric, None, 5, MARKER),))

    judgements = holding.judge(measured, elapsed, direct=True)

    text = message(judgements, measured, None)
    assert (f"  budget    {holding.limits[0].text()}" in text) == judgements[0].broken


def test_every_metric_of_a_call_that_can_be_limited_is_a_field_of_call() -> None:
    limited = {name for name, metric in METRICS.items() if metric.scope == "call"}

    assert limited <= set(Call.__dataclass_fields__)
