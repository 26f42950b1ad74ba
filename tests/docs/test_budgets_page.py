"""What docs/budgets.md shows is what the package says and does."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from pytest_claude_latency.budgets.budget import combine
from pytest_claude_latency.budgets.judgement import message
from pytest_claude_latency.budgets.limit import parse_expression, parse_marker
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.printable import fitted
from pytest_claude_latency.report.summary import Run, summarize
from pytest_claude_latency.report.table import not_judged
from tests.report.test_terminal import shown
from tests.support.some_call import some_call
from tests.support.some_results import some_result

PAGE = (Path(__file__).parents[2] / "docs" / "budgets.md").read_text("utf-8")
MARKER = "@latency_budget on tests/test_triage.py::test_label"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_metric_is_in_a_table_with_the_direction_it_is_judged_in() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (at most|at least) \|", PAGE, re.MULTILINE)

    directions = {name: direction for names, direction in rows for name in re.findall(r"\w+", names)}
    assert directions == {name: metric.direction for name, metric in METRICS.items()}


def test_the_failure_shown_is_the_failure_a_test_gives() -> None:
    calls = [some_call(), some_call(ttft=1.24, ttfa=1.24, location="app/llm.py:56 in answer"), some_call()]
    budget = combine([parse_marker({"ttft": "800ms"}, MARKER)])

    text = message(budget.judge(calls, 2.875, direct=True), calls, "tests/cassettes/test_triage/test_label.1.jsonl")

    assert f"{fitted(text)}\n" in blocks("text")


def test_the_misspelt_marker_shown_is_refused_in_those_words() -> None:
    with pytest.raises(LimitError) as refused:
        parse_marker({"tftt": "1s"}, MARKER)

    (shown,) = [block for block in blocks("text") if "tftt" in block]
    assert refused.value.in_lines().startswith(shown.partition(", …")[0])


def test_the_limits_shown_for_the_command_line_are_understood() -> None:
    (expression,) = re.findall(r'--latency-limits="(.*?)"', PAGE)

    assert [limit.text() for limit in parse_expression(expression, "--latency-limits")] == expression.split()


def test_the_section_shown_is_the_one_that_such_results_give() -> None:
    drawn, summary = Random(1), "tests/test_summary.py::test_a_summary_begins_at_once_and_keeps_coming"
    samples = [
        [some_call(ttft=drawn.lognormvariate(-0.9, 0.3), total=drawn.lognormvariate(0.9, 0.2))] for _ in range(20)
    ]
    two_calls = {"ttft": "800ms", "elapsed": "8s", "calls": 2, "longest_gap": "500ms"}
    results = [
        *(some_result(summary, calls, {"ttft": "800ms"}, sample=place) for place, calls in enumerate(samples, 1)),
        some_result("tests/test_agent.py::TestReply::test_look_up", [some_call(), some_call(sent=3.0)], two_calls),
        some_result("tests/test_triage.py::test_label", [some_call(ttft=0.912)], {"ttft": "800ms", "total": "3s"}),
    ]

    (section,) = [block for block in blocks("text") if "verdict" in block]

    assert section.splitlines() == shown(summarize(results, Run())).lines[1:]


def test_the_line_shown_for_a_run_that_does_not_judge_is_the_one_it_prints() -> None:
    result = some_result(limits={"ttft": "800ms", "total": "3s"}, judged=False)

    assert f"{not_judged(summarize([result], Run(judged=False)))}\n" in blocks("text")


def test_the_python_shown_compiles() -> None:
    for block in blocks("python"):
        compile(block, "docs/budgets.md", "exec")
