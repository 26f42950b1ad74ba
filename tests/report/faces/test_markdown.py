from __future__ import annotations

import re

from hypothesis import given

from pytest_claude_latency.known_files import REPORT_MARKER
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.faces import markdown
from pytest_claude_latency.report.table import ONE_NOT_JUDGED
from pytest_claude_latency.results.also_failed import AlsoFailed
from tests.support.some_call import some_call
from tests.support.some_results import node_ids, report_of, some_finding, some_result


def test_the_page_is_a_table_and_the_counts() -> None:
    text = markdown.render(report_of(some_result("a.py::t", limits={"ttft": "800ms"})))

    assert text.splitlines() == [
        "<!-- pytest-claude-latency -->",
        "",
        "## Claude latency: 1 test, none failed",
        "",
        "1 test, 1 call, 1 budget: 1 kept (replay, virtual clock)",
        "",
        "| test | calls | TTFT | total | tokens | verdict |",
        "|:--|--:|--:|--:|--:|:--|",
        "| `a.py::t` | 1 | 412ms/800ms | 2.875s | 96 | kept |",
    ]


def test_a_broken_budget_is_explained_in_a_code_block() -> None:
    text = markdown.render(report_of(some_result("a.py::t", limits={"ttft": "400ms"})))

    assert "| **broken** |" in text
    assert "\n`a.py::t`\n\n```text\nttft was 412ms, 12ms over the budget of 400ms\n" in text


def test_a_test_that_failed_by_itself_stands_among_the_failures_and_an_expected_one_does_not() -> None:
    failed = some_result("a.py::t", outcome="failed", traceback="a.py:9 in t\nAssertionError")
    expected = some_result("a.py::x", limits={"ttft": "1ms"}, outcome="xfailed")

    text = markdown.render(report_of(failed, expected))

    assert "## Claude latency: 1 of 2 tests failed" in text
    assert "### Failures\n\n`a.py::t`\n\n```text\na.py:9 in t\nAssertionError\n```\n" in text
    assert text.count("a.py::x") == 1


def test_what_failed_besides_latency_tests_is_named_and_of_many_the_rest_counted() -> None:
    others = (AlsoFailed("file", "b_c.py"), *(AlsoFailed("other test", f"a.py::t{place}") for place in range(20)))

    text = markdown.render(report_of(some_result("a.py::t"), also_failed=others))

    assert "## Claude latency: none of 1 test failed, 20 other tests failed, 1 file could not be collected\n" in text
    assert "### Also failed\n\n- b\\_c.py could not be collected\n- a.py::t0 failed\n" in text
    assert "\n\nand 1 more\n" in text


def test_a_code_block_outlasts_the_backticks_of_an_id() -> None:
    text = markdown.render(report_of(some_result("a.py::t[````]", limits={"ttft": "400ms"})))

    assert "\n`````text\n" in text


def test_warnings_and_notes_are_lists_without_markup_of_their_own() -> None:
    text = markdown.render(report_of(some_result("a.py::t_x", warnings=("<b>*stale*",), notes=("wait",))))

    assert "### Warnings\n\n- a.py::t\\_x: \\<b\\>\\*stale\\*\n" in text
    assert "### Notes\n\n- a.py::t\\_x: wait\n" in text


def test_a_mark_is_explained_below_the_table() -> None:
    text = markdown.render(report_of(some_result(calls=[some_call(streamed=False)])))

    assert "412ms\\*" in text
    assert "\n\n\\* not streamed: the first token comes with the last\n" in text


def test_a_run_that_did_not_judge_says_so() -> None:
    text = markdown.render(report_of(some_result(limits={"ttft": "1s"}, judged=False), judged=False))

    assert "| not judged |" in text
    assert ONE_NOT_JUDGED in text


def test_a_run_without_latency_tests_has_no_table() -> None:
    assert "|" not in markdown.render(report_of())


@given(node_ids())
def test_any_id_keeps_to_its_cell_and_its_code_span(nodeid: str) -> None:
    (row,) = [line for line in markdown.render(report_of(some_result(nodeid))).split("\n") if line.startswith("| `")]

    cells = re.split(r"(?<!\\)\|", row)
    fence = re.match(r" (`+)", cells[1])
    assert len(cells) == 8
    assert fence is not None
    assert cells[1].count(fence[1]) == 2
    inside = cells[1].strip().removeprefix(fence[1]).removesuffix(fence[1])
    assert inside.replace("\\|", "|").strip() == printable(nodeid).strip()


def test_the_worst_test_stands_first_and_its_findings_below_its_failure() -> None:
    finding = some_finding(fact="call 1 waited 312ms", remedy="ask for less")

    text = markdown.render(
        report_of(some_result("a.py::kept"), some_result("b.py::late", limits={"ttft": "1ms"}, findings=(finding,)))
    )

    assert text.splitlines()[2] == "## Claude latency: 1 of 2 tests failed"
    assert text.index("b.py::late") < text.index("a.py::kept")
    assert "- call 1 waited 312ms — try: ask for less\n" in text


def test_a_finding_that_the_failure_tells_is_not_told_twice() -> None:
    finding = some_finding(fact="call 1 waited 312ms")

    text = markdown.render(
        report_of(
            some_result(failure="too late\n  finding   call 1 waited\n  312ms", outcome="failed", findings=(finding,))
        )
    )

    assert text.count("312ms") == 1


def test_two_runs_give_the_same_text() -> None:
    results = [some_result(f"a.py::t{number}", limits={"ttft": "1ms"}) for number in range(5)]

    assert markdown.render(report_of(*results)) == markdown.render(report_of(*reversed(results)))


def test_a_report_fits_into_a_comment_and_counts_what_does_not() -> None:
    results = [some_result(f"a.py::t[{number:04}{'x' * 500}]", limits={"ttft": "1ms"}) for number in range(300)]

    text = markdown.render(report_of(*results))

    assert 40_000 < len(text) <= markdown.MOST
    assert text.splitlines()[0] == REPORT_MARKER
    assert "and 200 more tests" in text
    assert re.search(r"\*\d+ more sections did not fit", text)
