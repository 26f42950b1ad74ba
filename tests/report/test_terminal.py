from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.report import terminal
from pytest_claude_latency.report.columns import columns_of
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
        "test                     calls         TTFT      total  tokens  verdict",
        "tests/test_a.py::test_a      1  412ms/800ms  2.875s/3s      96  kept",
        "tests/test_b.py::test_b      1  412ms/400ms     2.875s      96  broken",
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

    assert "  output_tokens were 96, 6 over the budget of 90" in shown(summary).lines


def test_verbose_lists_every_call_with_its_moments() -> None:
    calls = [some_call(), some_call(streamed=False, ttft=2.875, ttfa=2.875, attempts=2)]
    summary = summary_of(some_result("a.py::t", calls, setup_calls=(some_call(),)))

    lines = [line for line in shown(summary, verbosity=1, fullwidth=120).lines if line.startswith("  ")]

    assert lines == [
        "  set-up call 1: claude-haiku-4-5, streamed, 31 + 96 tokens",
        "    sent 0ms · headers 310ms · first token 412ms · end 2875ms",
        "  call 1: claude-haiku-4-5, streamed, 31 + 96 tokens",
        "    sent 0ms · headers 310ms · first token 412ms · end 2875ms",
        "  call 2: claude-haiku-4-5, not streamed (its first token came with its last), 2 attempts, 31 + 96 tokens",
        "    sent 0ms · headers 310ms · end 2875ms",
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


def test_a_long_id_keeps_its_file_and_the_end_of_its_name() -> None:
    nodeid = "tests/conversations/test_the_support_desk_assistant.py::TestTriage::test_label[german-long]"

    row = shown(summary_of(some_result(nodeid, limits={"ttft": "1s"}))).lines[2]

    name, _, _ = row.partition("  ")
    assert name.startswith("tests/conver")
    assert "…" in name
    assert name.endswith(":test_label[german-long]")


@given(st.lists(node_ids(), min_size=1, max_size=4), st.integers(80, 160), st.integers(0, 1))
def test_any_row_fits_the_terminal(nodeids: list[str], width: int, verbosity: int) -> None:
    calls = [some_call(ttft=11.5, total=100.25, ttfa=12.0), some_call(streamed=False)]
    limits = {"ttft": "20s", "elapsed": "100s", "tpot": "1ms"}
    summary = summary_of(*(some_result(nodeid, calls, limits) for nodeid in nodeids))

    section = shown(summary, fullwidth=width, verbosity=verbosity).text.partition("\ntests")[0]

    table = [line for line in section.splitlines() if not line.startswith("warning")]
    assert max(map(columns_of, table)) < width


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

    result.stdout.re_match_lines([r"=+ claude latency =+$", r"test +calls +TTFT", r"t\.py::t +1  412ms/800ms .* kept$"])
