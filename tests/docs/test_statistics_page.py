"""What docs/statistics.md shows is what the package says and does."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_claude_latency.ab.verdicts import on_pairs
from pytest_claude_latency.baselines import reader
from pytest_claude_latency.budgets.limit import parse_expression
from pytest_claude_latency.budgets.percentile_judgement import judge
from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.comparison.statistical import Pair, judge_all, needed
from pytest_claude_latency.metrics.percentiles import percentile, settles, share_of, standing
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.results.ab_pairs import ABPair
from pytest_claude_latency.results.result import TestResult
from tests.support.some_call import some_call
from tests.support.some_pairs import ab_sample, some_request

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statistics.md").read_text("utf-8")
false_alarms = SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "false_alarms.py")))
TEST = "tests/test_triage.py::test_label"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def table(first: str) -> list[list[str]]:
    """The rows of the table whose head begins so."""
    lines = PAGE.partition(f"\n| {first} |")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines[2:]]


def test_the_inconclusive_percentile_shown_is_what_a_run_says() -> None:
    (limit,) = parse_expression("ttft.p95<1.2s", "--latency-limits")

    judged = judge(limit, [Sample(number=number, calls=(some_call(ttft=1.0),)) for number in range(1, 21)])

    assert f"{judged.headline()}\n" in blocks("text")


def test_the_samples_said_to_be_needed_are() -> None:
    head = re.findall(r"p\d+", PAGE.partition("| samples over the limit |")[2].partition("\n")[0])

    for over, *counts in table("samples over the limit"):
        for statistic, count in zip(head, counts, strict=True):
            share, number = share_of(statistic), int(count)
            assert standing(int(over), number, share) == "kept"
            assert standing(int(over), number - 1, share) != "kept"


def test_the_examples_of_a_percentile_are_right() -> None:
    p95 = share_of("p95")

    assert percentile(range(1, 21), p95) == 19
    assert standing(3, 10, p95) == standing(2, 7, p95) == "broken"
    assert settles(0, 20, p95) - 20 == 39


def test_the_samples_a_side_said_to_serve_so_many_comparisons_do() -> None:
    assert {int(many): int(samples) for many, samples in table("comparisons in the run")} == {
        many: needed(many) for many in (1, 30, 150, 600, 643, 3000)
    }
    assert needed(600, before=20) == 5


def test_the_limits_of_what_counts_are_the_defaults() -> None:
    ratio, shift = re.findall(r"at least (1\.\d+)\.|at least (\d+) ms", PAGE)

    assert Rules(min_ratio=float(ratio[0]), min_shift=int(shift[1]) * 1_000_000) == Rules()


def test_the_exact_regression_shown_is_what_a_run_says() -> None:
    runs = [
        Sample(
            elapsed=elapsed * 10**9,
            calls=(some_call(total=2.0), some_call(sent=sent, total=2.0, location="app/llm.py:56 in classify")),
        )
        for elapsed, sent in ((2, 0.0), (4, 2.0))
    ]
    before, after = ({TEST: Series(nodeid=TEST, mode="replay", clock="virtual", samples=(run,))} for run in runs)

    (slower,) = [comparison for comparison in compare(before, after) if comparison.verdict == "regression"]

    assert f"{slower.message()}\n" in blocks("text")


def live(*spans: int, model: str = "claude-haiku-4-5") -> dict[str, Series]:
    samples = tuple(
        Sample(number=number, elapsed=span * 10**6, calls=(some_call(ttft=span / 1000, total=9.0, model=model),))
        for number, span in enumerate(spans, 1)
    )
    return {TEST: Series(nodeid=TEST, mode="live", clock="real", samples=samples)}


def ttft(before: dict[str, Series], after: dict[str, Series]) -> Comparison:
    return next(comparison for comparison in compare(before, after) if comparison.metric == "ttft")


@pytest.mark.parametrize("verb", ["slowed", "sped up"])
def test_the_comparisons_shown_have_the_form_of_those_a_run_makes(verb: str) -> None:
    sides = [live(*range(400, 409), model="claude-sonnet-4-5"), live(*range(600, 609))]

    said = ttft(*(sides if verb == "slowed" else sides[::-1])).headline()

    (shown,) = [block for block in blocks("text") if block.startswith(f"ttft {verb}")]
    assert _form(shown.splitlines()[0]) == _form(said)


def test_the_call_that_became_slower_beside_its_recording_is_shown_as_in_a_run() -> None:
    pairs = [ABPair(2, some_request(0.4 + place / 100), some_request(0.6 + place / 100)) for place in range(10)]
    results = [TestResult(nodeid=TEST, sample=10, ab_sample=ab_sample(*pairs, calls=2))]

    said = next(verdict.headline for verdict in on_pairs(results, strict=False) if verdict.verdict == "regression")

    (shown,) = [block for block in blocks("text") if block.startswith("ab call 2")]
    assert _form(shown) == _form(f"{said}\n")


def _form(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?(e-\d+)?(ms|s\b)?", "N", text)


def test_the_change_of_conditions_shown_is_what_a_run_says() -> None:
    found = ttft(live(*range(9), model="claude-sonnet-4-5"), live(*range(9)))

    assert any(block.endswith("\n" + found.message().splitlines()[-1] + "\n") for block in blocks("text"))


def test_the_run_with_too_few_samples_shown_is_what_a_run_says() -> None:
    few = Pair(TEST, "ttft", tuple(map(float, range(5))), tuple(map(float, range(5, 10))))

    said = judge_all([few] * 600)[0].headline()

    assert f"{said}\n" in blocks("text")


def test_the_file_shown_is_a_baseline() -> None:
    (shown,) = blocks("jsonl")

    entries = reader.read(shown, Path(".latency/main.jsonl"))

    assert [sample.elapsed for sample in entries[TEST].series.samples] == [2_881_004_000, 2_410_377_000]
    assert json.loads(shown.splitlines()[0])["unit"] == "s"


def test_the_simulated_figures_are_of_every_rule_in_every_session() -> None:
    rows = re.findall(r"^\| ([\w-]+) \| ([^|]+) \| ([^|]+) \|(?: +[\d.]+ % \|){5}$", PAGE, re.MULTILINE)
    expected = [
        (shape.name, session.name, rule)
        for shape in false_alarms.SHAPES
        for session in false_alarms.SESSIONS
        for rule in false_alarms.RULES
    ]

    assert rows == expected * 2


def test_the_simulation_counts_what_it_says() -> None:
    called = [{"test_0", "test_150"}, set[str](), {"test_9"}]

    assert false_alarms.shares(called) == [3 / (3 * false_alarms.TESTS), 2 / 3]
    assert false_alarms.power(called) == 2 / (3 * false_alarms.SLOWED)
