from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency import duration
from pytest_claude_latency.errors import LimitError

HUNDRED_DAYS = 100 * 86_400 * duration.SECOND


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("800ms", 800_000_000),
        ("1.5s", 1_500_000_000),
        ("2m", 120_000_000_000),
        ("2min", 120_000_000_000),
        ("1.5 h", 5_400_000_000_000),
        (" 25 ms ", 25_000_000),
        ("7us", 7_000),
        ("7µs", 7_000),
        (".5s", 500_000_000),
        ("3.s", 3_000_000_000),
        ("0s", 0),
        (3, 3_000_000_000),
        (0.1, 100_000_000),
        (timedelta(milliseconds=412), 412_000_000),
        (timedelta(days=1, microseconds=1), 86_400_000_001_000),
    ],
)
def test_a_duration_is_read_to_the_nanosecond(written: object, nanoseconds: int) -> None:
    assert duration.parse(written) == nanoseconds


NO_TEXT = ["", "fast", "800", "800 msec", "1d", "1hour", "1s 2ms", "-1s", "+1s", "nan", "1e3ms", "ms", "1..5s"]
NO_VALUE = [None, True, b"1s", [1], {"p50": "1s"}, 1j, float("nan"), float("inf"), -1, -0.5, timedelta(seconds=-1)]


@pytest.mark.parametrize("written", [*NO_TEXT, *NO_VALUE])
def test_a_value_that_is_not_a_duration_is_refused_with_the_accepted_forms(written: object) -> None:
    with pytest.raises(LimitError, match=r"accepted: .*800ms.*number of seconds.*timedelta"):
        duration.parse(written)


@given(st.integers(0, HUNDRED_DAYS))
def test_any_duration_is_read_back_from_its_exact_text(span: int) -> None:
    assert duration.parse(duration.exact(span)) == span


@given(st.integers(0, 2**51))  # above, two roundings of 53 bits may add up to half a nanosecond
def test_any_duration_below_26_days_survives_as_float_seconds(span: int) -> None:
    assert duration.nanoseconds(duration.seconds(span)) == span


@given(
    st.integers(0, 10**6),
    st.sampled_from([("us", 10**3), ("ms", 10**6), ("s", 10**9), ("min", 60 * 10**9), ("h", 3600 * 10**9)]),
)
def test_a_number_of_any_unit_is_that_many_of_it(number: int, unit: tuple[str, int]) -> None:
    assert duration.parse(f"{number}{unit[0]}") == number * unit[1]


def test_m_stands_for_ten_minutes_at_most_since_an_s_may_be_missing() -> None:
    assert duration.parse("10m") == duration.parse("10min")

    with pytest.raises(LimitError, match=r"'800 m' is 800 minutes: write \"800ms\" or \"800min\"; accepted: "):
        duration.parse("800 m")


@given(st.integers(0, 3600 * duration.SECOND))
def test_a_shown_duration_is_never_further_off_than_half_its_last_digit(span: int) -> None:
    text = duration.show(span)

    last_digit = 1_000 if span < 10 * duration.MILLISECOND else duration.MILLISECOND
    number, size = (text[:-2], 10**6) if text.endswith("ms") else (text[:-1], 10**9)
    assert abs(Fraction(number) * size - span) <= Fraction(last_digit, 2) + 1  # the float may round a tie either way


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (1_240_000_000, "1.240s"),
        (999_600_000, "1.000s"),
        (440_000_000, "440ms"),
        (10_000_000, "10ms"),
        (250_000, "0.25ms"),
        (9_000_000, "9ms"),
        (0, "0ms"),
    ],
)
def test_durations_are_shown_as_people_read_them(span: int, text: str) -> None:
    assert duration.show(span) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (800_000_000, "800ms"),
        (1_500_000_000, "1.5s"),
        (3_000_000_000, "3s"),
        (60 * 10**9, "60s"),
        (120 * 10**9, "2min"),
        (90 * 10**9, "90s"),
        (7200 * 10**9, "2h"),
    ],
)
def test_an_exact_duration_has_no_digit_too_many(span: int, text: str) -> None:
    assert duration.exact(span) == text


@pytest.mark.parametrize(
    ("spans", "shown"),
    [
        ((25_926_236, 26_901_000), ("26ms", "27ms")),
        ((25_926_236, 25_931_999), ("25.926ms", "25.932ms")),
        ((25_926_236, 25_926_237), ("25.926236ms", "25.926237ms")),
        ((1_000_500_000, 1_000_000_000), ("1.0005s", "1s")),
        ((999_600_000, 1_000_000_000), ("999.6ms", "1s")),
        ((1_000_000_001, 1_000_000_000), ("1.000000001s", "1s")),
        ((412_000_001, 412_000_001), ("412ms", "412ms")),
    ],
)
def test_two_durations_get_as_many_digits_as_tell_them_apart(spans: tuple[int, int], shown: tuple[str, str]) -> None:
    assert duration.told_apart(*spans) == shown


@given(st.integers(0, 2**60), st.integers(-1000, 1000))
def test_durations_that_differ_never_look_the_same(span: int, change: int) -> None:
    texts = duration.told_apart(span, max(span + change, 0))

    assert (texts[0] == texts[1]) == (span == max(span + change, 0))
