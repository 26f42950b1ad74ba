from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.baselines import measured_file
from pytest_claude_latency.baselines.measured_file import load
from pytest_claude_latency.errors import BaselineError
from pytest_claude_latency.report import data
from pytest_claude_latency.results.result import TestResult
from tests.support.some_baseline import DRAFT, LABEL, live, replayed, save
from tests.support.some_call import some_call
from tests.support.some_results import some_result, summary_of


def report(*results: TestResult, **run: Any) -> str:
    return data.render(data.build(summary_of(*results, **run)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "latency.json"


def test_a_baseline_has_its_samples(tmp_path: Path) -> None:
    assert load(save(tmp_path, "main", live())).series == {LABEL: live()}


def test_the_report_of_a_replay_has_what_a_baseline_of_it_would_have(file: Path) -> None:
    file.write_text(report(some_result(elapsed=3.0), some_result(DRAFT, elapsed=3.0)), "utf-8")

    assert load(file).series == {LABEL: replayed(), DRAFT: replayed(DRAFT)}


@pytest.mark.parametrize("mode", ["live", "record"])
def test_the_report_of_a_live_run_has_measurements(file: Path, mode: str) -> None:
    calls = [some_call(ttft=span, ttfa=span, total=span) for span in (1.0, 2.0)]
    results = [some_result(calls=[call], elapsed=call.total, sample=number) for number, call in enumerate(calls, 1)]
    file.write_text(report(*results, mode=mode, clock="real"), "utf-8")

    assert load(file).series == {LABEL: live(LABEL, [1.0, 2.0])}


def test_a_test_of_which_a_sample_failed_is_left_out_with_all_its_samples(file: Path) -> None:
    results = [some_result(sample=1), some_result(sample=2, outcome="failed"), some_result(DRAFT, outcome="skipped")]
    file.write_text(report(*results), "utf-8")

    measured = load(file)

    assert measured.series == {}
    assert measured.left_out == {LABEL: "failed", DRAFT: "skipped"}


def test_a_report_with_more_keys_than_this_plugin_knows_is_read(file: Path) -> None:
    facts = json.loads(report(some_result(elapsed=3.0)))
    facts["weather"] = facts["tests"][0]["calls"][0]["mood"] = "fair"
    file.write_text(json.dumps(facts), "utf-8")

    assert load(file).series == {LABEL: replayed()}


def _call(facts: dict[str, Any]) -> dict[str, Any]:
    call: dict[str, Any] = facts["tests"][0]["calls"][0]
    return call


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda facts: facts.pop("schema"), 'it is not a report of this plugin: it has no "schema"'),
        (lambda facts: facts.update(schema=2), "it is a report of schema 2, this plugin reads 1"),
        (lambda facts: facts.update(mode="record-missing"), "its run replayed some tests and recorded others"),
        (lambda facts: facts.update(mode=["live"]), '"mode" is ["live"], expected a text'),
        (lambda facts: facts.update(clock="sun"), 'the clock "sun", which this plugin does not know'),
        (lambda facts: facts.pop("tests"), 'it lacks "tests"'),
        (lambda facts: facts.update(tests=[3]), "test 1 in it: it is not a JSON object"),
        (lambda facts: facts["tests"][0].pop("nodeid"), 'test 1 in it: it lacks "nodeid"'),
        (lambda facts: facts["tests"][0].update(sample="1"), 'test 1 in it: "sample" is "1", expected a whole number'),
        (lambda facts: facts["tests"][0].update(elapsed=-1), 'test 1 in it: "elapsed" is -1, expected seconds'),
        (lambda facts: facts["tests"][0].update(calls=[3]), "test 1 in it, call 1: it is not a JSON object"),
        (lambda facts: _call(facts).pop("ttft"), 'test 1 in it, call 1: it lacks "ttft"'),
        (lambda facts: _call(facts).update(sent=None), 'test 1 in it, call 1: "sent" is null, expected seconds'),
        (lambda facts: _call(facts).update(total=1e300), 'test 1 in it, call 1: "total" is 1e+300, expected seconds'),
        (lambda facts: _call(facts).update(total=float("nan")), "NaN is not a JSON number"),
        (lambda facts: _call(facts).update(output_tokens=10**400), '"output_tokens" is 1000'),
    ],
)
def test_a_report_that_is_wrong_says_what_and_that_a_baseline_is_expected(
    file: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    facts = json.loads(report(some_result()))
    change(facts)
    file.write_text(json.dumps(facts), "utf-8")

    with pytest.raises(BaselineError) as refused:
        load(file)

    assert reason in str(refused.value)
    assert str(refused.value).endswith("expected a baseline, or the JSON report of a run")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"schema": 1, "mode": "rep', "line 1: it is not JSON"),
        (b'{"schema": 1}\xff', "it is not UTF-8"),
        (b"{" + b'"a":{' * 100_000, "it is nested too deeply"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "a number in it is too long"),
        (b"", "the file is empty"),
        (b"<html>", "it is an HTML page"),
    ],
    ids=["cut off", "not UTF-8", "deep", "long", "empty", "HTML"],
)
def test_what_is_neither_a_baseline_nor_a_report_is_refused(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)

    with pytest.raises(BaselineError, match=reason):
        load(file)


def test_no_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="there is no such file"):
        load(tmp_path / "nowhere.json")
    with pytest.raises(BaselineError, match=r"folder|Permission"):
        load(tmp_path)


def test_the_schema_it_reads_is_the_one_that_reports_have() -> None:
    assert measured_file.SCHEMA == data.SCHEMA
