from __future__ import annotations

import re

from hypothesis import given

from pytest_claude_latency.printable import printable
from pytest_claude_latency.report import markdown
from pytest_claude_latency.report.table import ONE_NOT_JUDGED
from tests.support.some_call import some_call
from tests.support.some_results import node_ids, some_result, summary_of


def test_the_page_is_a_table_and_the_counts() -> None:
    text = markdown.render(summary_of(some_result("a.py::t", limits={"ttft": "800ms"})))

    assert text.splitlines() == [
        "## Claude latency",
        "",
        "| test | calls | TTFT | total | tokens | verdict |",
        "|:--|--:|--:|--:|--:|:--|",
        "| `a.py::t` | 1 | 412ms/800ms | 2.875s | 96 | kept |",
        "",
        "1 test, 1 call, 1 budget: 1 kept (replay, virtual clock)",
    ]


def test_a_broken_budget_is_explained_in_a_code_block() -> None:
    text = markdown.render(summary_of(some_result("a.py::t", limits={"ttft": "400ms"})))

    assert "| **broken** |" in text
    assert "\n`a.py::t`\n\n```text\nttft was 412ms, 12ms over the budget of 400ms\n" in text


def test_a_code_block_outlasts_the_backticks_of_an_id() -> None:
    text = markdown.render(summary_of(some_result("a.py::t[````]", limits={"ttft": "400ms"})))

    assert "\n`````text\n" in text


def test_warnings_and_notes_are_lists_without_markup_of_their_own() -> None:
    text = markdown.render(summary_of(some_result("a.py::t_x", warnings=("<b>*stale*",), notes=("wait",))))

    assert "### Warnings\n\n- a.py::t\\_x: \\<b\\>\\*stale\\*\n" in text
    assert "### Notes\n\n- a.py::t\\_x: wait\n" in text


def test_a_mark_is_explained_below_the_table() -> None:
    text = markdown.render(summary_of(some_result(calls=[some_call(streamed=False)])))

    assert "412ms\\*" in text
    assert "\n\n\\* not streamed: the first token comes with the last\n" in text


def test_a_run_that_did_not_judge_says_so() -> None:
    text = markdown.render(summary_of(some_result(limits={"ttft": "1s"}, judged=False), judged=False))

    assert "| not judged |" in text
    assert ONE_NOT_JUDGED in text


def test_a_run_without_latency_tests_has_no_table() -> None:
    assert "|" not in markdown.render(summary_of())


@given(node_ids())
def test_any_id_keeps_to_its_cell_and_its_code_span(nodeid: str) -> None:
    (row,) = [line for line in markdown.render(summary_of(some_result(nodeid))).split("\n") if line.startswith("| `")]

    cells = re.split(r"(?<!\\)\|", row)
    fence = re.match(r" (`+)", cells[1])
    assert len(cells) == 8
    assert fence is not None
    assert cells[1].count(fence[1]) == 2
    inside = cells[1].strip().removeprefix(fence[1]).removesuffix(fence[1])
    assert inside.replace("\\|", "|").strip() == printable(nodeid).strip()
