from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_claude_latency.budgets.limit import Limit, parse_expression
from pytest_claude_latency.budgets.percentile_judgement import PercentileJudgement, judge, never_settled
from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.metrics.percentiles import share_of, standing
from pytest_claude_latency.metrics.sample import Sample
from tests.support.some_call import some_call

MS = 1_000_000
MARKER = "@latency_budget on tests/test_triage.py::test_label"


def limit(text: str) -> Limit:
    (only,) = parse_expression(text, MARKER)
    return only


def samples(*ttfts: float) -> list[Sample]:
    """A sample for each time to first token, in seconds."""
    return [Sample(number=number, calls=(some_call(ttft=ttft),)) for number, ttft in enumerate(ttfts, 1)]


def verdict(text: str, measured: Sequence[Sample]) -> PercentileJudgement:
    return judge(limit(text), measured)


def test_a_percentile_that_enough_samples_keep_is_kept() -> None:
    judged = verdict("ttft.p50<800ms", samples(0.7, 0.5, 0.3, 0.4, 0.6))

    assert (judged.verdict, judged.measured, judged.over, judged.samples) == ("kept", 500 * MS, 0, 5)
    assert judged.headline() == "ttft p50 was 500ms, within the budget of 800ms (0 of 5 over 800ms)"


def test_a_reading_equal_to_its_limit_is_not_over_it() -> None:
    assert verdict("ttft.p50<800ms", samples(*[0.8] * 5)).verdict == "kept"


def test_too_few_samples_say_how_many_would_settle_it() -> None:
    judged = verdict("ttft.p95<1.2s", samples(*[1.0] * 20))

    assert judged.verdict == "inconclusive"
    assert judged.headline() == "0 of 20 over 1.2s: p95 needs 59 samples; 39 more"


def test_samples_over_the_limit_ask_for_more_that_are_not() -> None:
    judged = verdict("ttft.p95<1.2s", samples(*[1.0] * 18, 1.3, 1.4))

    assert judged.headline() == "2 of 20 over 1.2s: p95 needs 124 samples; 104 more with none over"
    assert standing(2, 124, share_of("p95")) == "kept"


def test_a_broken_percentile_says_what_was_promised_where_and_what_was_measured() -> None:
    judged = verdict("ttft.p95<800ms", samples(*[0.5] * 7, 0.9, 1.1, 1.24))

    assert judged.broken
    assert judged.message() == "\n".join(
        [
            "ttft p95 was 1.240s, 440ms over the budget of 800ms",
            "  budget    ttft.p95<800ms               @latency_budget on tests/test_triage.py::test_label",
            "  measured  1.240s                       3 of 10 samples over 800ms",
        ]
    )


def test_a_percentile_just_over_its_limit_is_shown_with_all_its_digits() -> None:
    judged = verdict("ttft.p95<800ms", samples(*[0.8000001] * 3))

    assert "800.0001ms" in judged.message()


def test_tokens_that_never_came_break_a_percentile() -> None:
    calls = [(some_call(ttft=None),)] * 3

    judged = verdict("ttft.p95<800ms", [Sample(number=n, calls=each) for n, each in enumerate(calls, 1)])

    assert judged.broken
    assert judged.headline() == "ttft p95 has no value, no token came: it breaks the budget of 800ms"
    assert judged.as_json()["measured"] is None


def test_samples_without_the_metric_are_left_out() -> None:
    silent = Sample(number=6, calls=(some_call(longest_gap=None),))

    judged = verdict("longest_gap.p50<1s", [*samples(*[0.1] * 5), silent])

    assert (judged.verdict, judged.samples) == ("kept", 5)


def test_a_metric_that_no_sample_has_is_not_measured() -> None:
    judged = verdict("longest_gap.p50<1s", [Sample(calls=(some_call(longest_gap=None),))])

    assert judged.verdict == "not measured"
    assert judged.headline() == "longest_gap p50 has no value: no sample has one for longest_gap"


def test_a_percentile_of_the_elapsed_time_is_of_whole_tests() -> None:
    judged = verdict("elapsed.p50<2s", [Sample(number=n, elapsed=n * 1000 * MS) for n in range(1, 6)])

    assert (judged.measured, judged.over) == (3000 * MS, 3)


def test_a_judgement_is_told_to_programs_in_seconds() -> None:
    assert verdict("ttft.p95<1.2s", samples(*[1.0] * 20)).as_json() == {
        "metric": "ttft",
        "statistic": "p95",
        "limit": 1.2,
        "measured": 1.0,
        "over": 0,
        "samples": 20,
        "verdict": "inconclusive",
        "settled_by": 59,
        "origin": MARKER,
    }


def test_a_limit_on_every_sample_is_no_percentile() -> None:
    with pytest.raises(LimitError, match="is not a percentile"):
        judge(limit("ttft<800ms"), samples(0.5))


def test_a_number_of_samples_that_can_never_settle_a_percentile_is_said_beforehand() -> None:
    assert never_settled(limit("ttft.p95<1.2s"), 59) is None
    assert never_settled(limit("ttft.p95<1.2s"), 20) == (
        "20 samples can never show that ttft.p95<1.2s holds: p95 needs 59"
    )
    assert "1 sample can never" in str(never_settled(limit("ttft.p50<1.2s"), 1))


@pytest.mark.parametrize("number", [0, -1])
def test_less_than_one_sample_is_refused(number: int) -> None:
    with pytest.raises(LatencyError, match="expected at least 1"):
        never_settled(limit("ttft.p95<1.2s"), number)
