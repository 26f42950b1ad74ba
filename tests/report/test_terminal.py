from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.printable import columns_of
from pytest_claude_latency.report import terminal
from pytest_claude_latency.report.summary import Summary
from pytest_claude_latency.report.table import SOME_NOT_JUDGED
from tests.support.some_call import some_call
from tests.support.some_results import node_ids, some_result, summary_of


@dataclass
class Screen:
    """The part of pytest's terminal reporter that a section is written with; keeps what it is given."""

    fullwidth: int = 80
    verbosity: int = 0
    text: str = ""
    marked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def config(self) -> Any:
        return SimpleNamespace(get_terminal_writer=lambda: SimpleNamespace(fullwidth=self.fullwidth))

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def write(self, content: str, **markup: bool) -> None:
        self.text += content
        self.marked += [(name, content.strip()) for name, on in markup.items() if on]

    def write_line(self, content: str, **markup: bool) -> None:
        self.write(content + "\n", **markup)

    def write_sep(self, sep: str, title: str) -> None:
        self.write_line(f"{sep * 3} {title} {sep * 3}")


def shown(summary: Summary, **facts: Any) -> Screen:
    screen = Screen(**facts)
    terminal.write(summary, cast("pytest.TerminalReporter", screen))
    return screen


def test_the_section_is_a_row_per_test_and_the_counts() -> None:
    screen = shown(
        summary_of(
            some_result("tests/test_a.py::test_a", limits={"ttft": "800ms", "total": "3s"}),
            some_result("tests/test_b.py::test_b", limits={"ttft": "400ms"}),
        )
    )

    assert screen.lines == [
        "=== claude latency ===",
        "test      calls         TTFT      total  tokens  verdict",
        "tests/test_b.py",
        "  test_b      1  412ms/400ms     2.875s      96  broken",
        "tests/test_a.py",
        "  test_a      1  412ms/800ms  2.875s/3s      96  kept",
        "2 tests, 2 calls, 3 budgets: 1 broken, 2 kept (replay, virtual clock)",
    ]


def test_verdicts_carry_the_colours_of_pytest() -> None:
    screen = shown(
        summary_of(
            some_result("a.py::a", limits={"ttft": "1s"}),
            some_result("a.py::b", limits={"ttft": "1ms"}),
            some_result("a.py::c", [], {"ttft": "1s"}, direct=False),
        )
    )

    assert {("green", "kept"), ("red", "broken"), ("yellow", "no calls")} <= set(screen.marked)


def test_without_latency_tests_nothing_is_written() -> None:
    assert shown(summary_of()).text == ""


def test_a_run_that_does_not_judge_writes_one_line() -> None:
    summary = summary_of(some_result(limits={"ttft": "1ms", "calls": 3}, judged=False), judged=False)

    assert shown(summary).lines == [SOME_NOT_JUDGED.format(number=2)]


def test_warnings_are_shown_whether_or_not_budgets_are_judged() -> None:
    for judged in (True, False):
        summary = summary_of(some_result("a.py::t", warnings=("2 answers unused",), judged=judged), judged=judged)

        assert ("yellow", "warning: a.py::t: 2 answers unused") in shown(summary).marked


def test_a_warning_of_several_lines_keeps_them() -> None:
    summary = summary_of(some_result(), warnings=("a thread called the API\n  thread    worker-1",))

    assert shown(summary).lines[-2:] == ["warning: a thread called the API", "  thread    worker-1"]


def test_a_broken_limit_without_a_column_is_shown_below_its_row() -> None:
    summary = summary_of(some_result(limits={"output_tokens": 90}))

    assert "    output_tokens were 96, 6 over the budget of 90" in shown(summary).lines


def test_a_kept_limit_without_a_column_is_shown_with_what_was_measured() -> None:
    limits = {"longest_gap": "500ms", "output_tokens": 300, "output_tokens_per_second": 40, "calls": 1}
    summary = summary_of(some_result(limits=limits))

    assert shown(summary).lines[4:6] == [
        "    longest_gap 81ms/500ms, output_tokens 96/300",
        "    output_tokens_per_second 80.6/at least 40, calls 1/1",
    ]


def test_the_worst_test_stands_first_and_its_file_too() -> None:
    results = [
        some_result("b.py::kept_by_far", limits={"ttft": "9s"}),
        some_result("b.py::kept_closely", limits={"ttft": "413ms"}),
        some_result("c.py::unlimited"),
        some_result("d.py::broken", limits={"ttft": "411ms"}),
        some_result("d.py::unlimited"),
        some_result("d.py::far_over", limits={"calls": 0}),
        some_result("e.py::silent", [], {"ttft": "1s"}, direct=False),
        some_result("f.py::failing", outcome="failed"),
    ]

    rows = re.findall(r"^(?:  \w+|\w\.py$)", shown(summary_of(*results)).text, re.MULTILINE)

    assert [row.strip() for row in rows if not row.startswith(("  virtual", "  call"))] == [
        *("d.py", "far_over", "broken", "unlimited"),
        *("f.py", "failing"),  # before what nobody can tell yet
        *("e.py", "silent"),
        *("b.py", "kept_closely", "kept_by_far"),
        *("c.py", "unlimited"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "TestTriage::test_a_ticket_in_german_finds_its_queue_within_a_second[long]",
        "test_退款请求在三秒内得到回答[中文参数]",
    ],
)
def test_a_name_without_room_next_to_its_figures_stays_whole_in_a_line_of_its_own(name: str) -> None:
    call = some_call(ttft=12.5, ttfa=12.5, total=99.5)
    limits = {"ttft": "10s", "total": "100s", "elapsed": "100s"}

    lines = shown(summary_of(some_result(f"tests/test_desk.py::{name}", [call], limits))).lines

    assert lines[2:4] == ["tests/test_desk.py", f"  {name}"]
    assert lines[4].split() == ["1", "12.500s/10s", "99.500s/100s", "99.500s/100s", "96", "broken"]
    assert max(map(columns_of, lines)) < 80


def test_samples_are_shown_with_p50_p95_and_a_drawing_of_where_they_lie() -> None:
    spans = [0.2, 0.21, 0.22, 0.2, 0.21, 0.5, 1.0]
    samples = [some_result("a.py::t", [some_call(ttft=span)], sample=place) for place, span in enumerate(spans, 1)]

    lines = shown(summary_of(*samples)).lines

    assert lines[3].startswith("  t (7 samples)      1  1.000s")
    assert lines[4] == "    ttft p50 210ms p95 1.000s █▁▁▃▁▁▁▃, total p50 2.875s p95 2.875s"


def test_a_first_token_that_never_came_in_one_sample_is_the_p95_of_few() -> None:
    samples = [
        some_result("a.py::t", [some_call(ttft=span)], sample=place) for place, span in enumerate((0.2, None), 1)
    ]

    assert shown(summary_of(*samples)).lines[4].startswith("    ttft p50 200ms p95 never, total")


def test_verbose_lists_every_call_with_its_moments_on_the_clock_of_the_test() -> None:
    calls = [some_call(sent=3.0), some_call(sent=4.0, streamed=False, ttft=2.875, ttfa=2.875, attempts=2)]
    summary = summary_of(some_result("a.py::t", calls, setup_calls=(some_call(),)))

    lines = [line for line in shown(summary, verbosity=1, fullwidth=120).lines if line.startswith("    ")]

    assert lines == [
        "    set-up call 1: claude-haiku-4-5, streamed, 31 + 96 tokens",
        "      sent 0ms · headers 310ms · first token 412ms · end 2875ms",
        "    call 1: claude-haiku-4-5, streamed, 31 + 96 tokens",
        "      sent 3000ms · headers 3310ms · first token 3412ms · end 5875ms",
        "    call 2: claude-haiku-4-5, not streamed (its first token came with its last), 2 attempts, 31 + 96 tokens",
        "      sent 4000ms · headers 4310ms · end 6875ms",
    ]


def test_verbose_names_the_sample_where_there_are_several() -> None:
    summary = summary_of(some_result(sample=1), some_result(sample=2))

    text = shown(summary, verbosity=1).text

    assert "sample 1, call 1: " in text
    assert "sample 2, call 1: " in text


def test_more_notes_than_fit_are_counted_and_left_to_verbose() -> None:
    summary = summary_of(some_result("a.py::t", notes=tuple(f"wait {number}" for number in range(14))))

    assert shown(summary).lines[-1] == "note: 4 more notes, shown with -v"
    assert "note: a.py::t: wait 13" in shown(summary, verbosity=1).lines


def test_thirty_tests_of_three_files_stand_under_three_lines() -> None:
    results = [some_result(f"tests/test_{place % 3}.py::test_{place}", limits={"ttft": "1s"}) for place in range(30)]

    lines = shown(summary_of(*results)).lines

    assert [line for line in lines if line.startswith("tests/")] == [f"tests/test_{place}.py" for place in range(3)]
    assert len(lines) == 2 + 3 + 30 + 1


@given(st.lists(node_ids(), min_size=1, max_size=4), st.integers(80, 160), st.integers(0, 1))
def test_any_row_fits_the_terminal(nodeids: list[str], width: int, verbosity: int) -> None:
    calls = [some_call(ttft=11.5, total=100.25, ttfa=12.0), some_call(streamed=False)]
    limits = {"ttft": "20s", "elapsed": "100s", "tpot": "1ms"}
    summary = summary_of(*(some_result(nodeid, calls, limits) for nodeid in nodeids))

    section = shown(summary, fullwidth=width, verbosity=verbosity).text.partition("\ntests")[0]

    table = [line for line in section.splitlines() if not line.startswith("warning")]
    assert max(map(columns_of, table)) <= width


def test_the_section_is_part_of_a_real_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from pytest_claude_latency.report import terminal
        from tests.support.some_results import some_result, summary_of

        def pytest_terminal_summary(terminalreporter):
            terminal.write(summary_of(some_result("t.py::t", limits={"ttft": "800ms"})), terminalreporter)
        """
    )
    pytester.makepyfile("def test_nothing(): pass")

    result = pytester.runpytest("-p", "no:claude_latency", "-p", "no:asyncio")

    result.stdout.re_match_lines(
        [r"=+ claude latency =+$", r"test +calls +TTFT", r"t\.py$", r"  t +1  412ms/800ms .* kept$"]
    )
