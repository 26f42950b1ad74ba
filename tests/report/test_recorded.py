from __future__ import annotations

from typing import cast

import pytest

from pytest_claude_latency.printable import columns_of
from pytest_claude_latency.report import recorded
from tests.report.test_terminal import Screen
from tests.support.some_results import some_result


def test_an_id_without_room_next_to_its_figures_stays_whole_in_a_line_of_its_own() -> None:
    nodeid = "tests/conversations/test_the_support_desk.py::TestTriage::test_label[退款请求]"
    screen = Screen()

    recorded.write(
        [some_result(nodeid, recorded_bytes=4100), some_result("tests/test_b.py::test_b", recorded_bytes=900)],
        {},
        cast("pytest.TerminalReporter", screen),
        " ".join,
    )

    assert nodeid in screen.lines
    assert screen.lines[3].split() == ["1", "1", "2.875s", "4.1", "kB"]
    assert max(map(columns_of, screen.lines[:5])) < 80


def test_tests_without_a_call_are_named_as_far_as_they_are_few() -> None:
    written = some_result(recorded_bytes=4100)

    def told(count: int) -> str:
        silent = [some_result(f"test_a.py::test_{number}", calls=[]) for number in range(count)]
        screen = Screen()
        recorded.write([written, *silent], {}, cast("pytest.TerminalReporter", screen), " ".join)
        return screen.text

    assert "nothing to write: test_a.py::test_0, test_a.py::test_1 made no call\n" in told(2)
    assert "nothing to write: 9 tests made no call\n" in told(9)
    assert "nothing to write" not in told(0)
