from __future__ import annotations

from pytest_claude_latency.errors import LimitError


def test_a_message_in_lines_says_what_is_wrong_then_where_then_what_is_accepted() -> None:
    error = LimitError(
        "ttft: 'fast' is not a duration; "
        'accepted: a string with a unit ("800ms"), a number of seconds, or a timedelta',
        "@latency_budget on tests/test_a.py::test_a",
    )

    assert error.in_lines().split("\n") == [
        "ttft: 'fast' is not a duration",
        "  marker    @latency_budget on tests/test_a.py::test_a",
        '  accepted  a string with a unit ("800ms"), a number of seconds, or a timedelta',
    ]


def test_a_message_in_lines_fits_80_columns_and_keeps_the_lines_it_has() -> None:
    error = LimitError("a " * 60 + "\n  metrics   ttft; accepted: " + "b " * 60 + "\n  as it is", "watch(...)")

    lines = error.in_lines().split("\n")

    assert max(map(len, lines)) <= 80
    assert [line[:12].strip() for line in lines] == [
        "a a a a a a", "a a a a a", "at", "metrics", "accepted", "", "as it is"
    ]  # fmt: skip


def test_a_message_in_one_line_begins_with_the_place() -> None:
    assert str(LimitError("it is wrong; accepted: right", "here")) == "here: it is wrong; accepted: right"
    assert str(LimitError("it is wrong")) == "it is wrong"
