from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.budgets.judgement import NO_CALL
from pytest_claude_latency.budgets.limit import parse_expression
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.report.data import build, render
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.results.verdict import on_percentiles
from tests.support.some_baseline import DRAFT, LABEL, replayed, save
from tests.support.some_results import some_result, summary_of

OWN = f"@latency_budget on {LABEL}"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_report(path: Path, *results: TestResult, **run: Any) -> None:
    """The JSON report of a run that came to these results."""
    verdicts = tuple(on_percentiles(results, judged=True, strict=False))
    path.write_text(render(build(summary_of(*results, verdicts=verdicts, **run))), encoding="utf-8")


def test_a_report_gives_a_marker_with_the_existing_limits(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    p95 = parse_expression("total.p95<3s", OWN)
    write_report(project / "report.json", some_result(LABEL, limits={"ttft": "800ms"}, percentiles=p95))

    status = main(["suggest", "report.json"])

    printed = capsys.readouterr().out.splitlines()
    assert status == 0
    assert printed[-4:] == [
        f"# {LABEL}: 1 sample, replayed on the virtual clock",
        "#   ttft     measured 412ms, now ttft<800ms",
        "#   total    measured 2.875s, now total.p95<3s",
        '@pytest.mark.latency_budget(ttft="520ms", total={"p95": "3s"})',
    ]


def test_all_that_is_printed_is_python(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = some_result("tests/test_a.py::test_slow", limits={"ttft": "1ms"})
    write_report(project / "report.json", some_result(LABEL), failed)

    main(["suggest", "report.json"])

    printed = capsys.readouterr().out
    compile(printed.replace("# left out", "def test_label(): ...\n# left out"), "the output", "exec")
    assert "# left out: tests/test_a.py::test_slow (failed)\n" in printed


def test_margins_are_explained_as_what_they_are(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(project / "replayed.json", some_result(LABEL))
    write_report(project / "live.json", some_result(LABEL, mode="live", clock="real"), mode="live", clock="real")

    main(["suggest", "replayed.json"])
    replayed_, _ = capsys.readouterr()
    main(["suggest", "live.json"])
    live, _ = capsys.readouterr()

    room = "there the margin is\n#   room for the next recording"
    assert room in replayed_
    assert room not in live
    assert f"# {LABEL}: 1 sample, measured live" in live


def test_a_baseline_can_replace_a_report(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(project, "main", replayed())

    assert main(["suggest", "main"]) == 0
    assert '@pytest.mark.latency_budget(ttft="520ms", total="3.6s")\n' in capsys.readouterr().out


def test_a_report_without_a_test_that_passed_says_what_became_of_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(project / "report.json", some_result(DRAFT, outcome="error"), some_result(LABEL, calls=[]))

    status = main(["suggest", "report.json"])

    assert status == 1
    assert capsys.readouterr().out.splitlines() == [
        f"# left out: {DRAFT} (error)",
        f"# left out: {LABEL} ({NO_CALL})",
    ]


NEWER = {"schema": 2, "mode": "replay", "clock": "virtual", "tests": []}
EMPTY = NEWER | {"schema": 1}
TEST = json.loads(render(build(summary_of(some_result(LABEL, limits={"ttft": "800ms"})))))["tests"][0]


def budgets(*facts: Any) -> str:
    return json.dumps(EMPTY | {"tests": [TEST | {"budgets": list(facts)}]})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "report.json"),
        ("not JSON", "line 1: it is not JSON"),
        ("{}", "expected a baseline, or the JSON report of a run"),
        (json.dumps(NEWER), "schema 2, this plugin reads 1: a newer one wrote it"),
        (json.dumps(EMPTY), "report.json holds no test: run latency tests with --latency-report=report.json"),
        (json.dumps(EMPTY | {"tests": [TEST | {"budgets": "ttft"}]}), '"budgets" is "ttft", expected an array'),
        (budgets({"metric": "tftt", "limit": 1}), "a budget in it is not understood"),
        (budgets({"metric": "ttft", "limit": -1}), "a budget in it is not understood"),
        (budgets({"metric": "ttft", "limit": 1e300}), "a budget in it is not understood"),
        (budgets({"metric": "ttft", "limit": "1s"}), "a budget in it is not understood"),
        (budgets({"metric": "ttft", "limit": 1, "statistic": 95}), '"statistic" is 95, expected a text or null'),
    ],
)
def test_a_file_that_is_not_a_report_with_tests_is_refused_in_one_line(
    content: str | None, reason: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (project / "report.json").write_text(content, encoding="utf-8")

    status = main(["suggest", "report.json"])

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("claude-latency: ")
    assert reason in err
    assert err.count("\n") == 1


def test_a_limit_that_hardly_any_slowdown_breaks_is_marked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(project / "report.json", some_result(LABEL, limits={"ttft": "5m", "total": "28s"}))

    main(["suggest", "report.json"])

    printed = capsys.readouterr().out
    assert "now ttft<5min (728 times as long: hardly any\n#            slowdown breaks it)\n" in printed
    assert "now total<28s\n" in printed
