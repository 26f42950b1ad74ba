from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.printable import columns_of
from pytest_claude_latency.report.columns import column_widths, line_of, narrowed, shorten
from tests.support.some_results import node_ids


def test_words_stand_on_the_left_and_numbers_on_the_right() -> None:
    rows = [("test", "calls"), ("测试", "12")]
    widths = column_widths(rows)

    assert [line_of(row, widths, {1}) for row in rows] == ["test  calls", "测试     12"]


def test_the_first_column_gives_way_to_the_others() -> None:
    rows = [("a" * 40, "12345")]

    assert column_widths(rows) == [40, 5]
    assert column_widths(rows, 30) == [23, 5]
    assert column_widths(rows, 10) == [16, 5]


@given(node_ids(), st.integers(0, 60))
def test_any_id_is_cut_to_the_columns_there_are(text: str, width: int) -> None:
    short = shorten(text, max(width, 3))

    assert columns_of(short) <= max(width, 3)
    assert short == text if columns_of(text) <= max(width, 3) else "…" in short


def test_chinese_characters_take_two_columns_each() -> None:
    assert columns_of("测试.py::test") == len("测试.py::test") + 2
    assert columns_of("e\u0301") == 1


def test_columns_without_room_are_left_out_in_their_order_and_names_count_for_nothing() -> None:
    rows = [("test", "TTFT", "TTFA", "total"), ("a" * 40, "1.234s", "12ms", "9.876s")]

    assert narrowed(rows, 26, ("TTFA", "TTFT")) == (rows[0], rows[1:])
    assert narrowed(rows, 25, ("TTFA", "TTFT")) == (("test", "TTFT", "total"), [("a" * 40, "1.234s", "9.876s")])
    assert narrowed(rows, 5, ("TTFA", "TTFT")) == (("test", "total"), [("a" * 40, "9.876s")])
