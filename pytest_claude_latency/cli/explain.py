"""`claude-latency explain`: where the time of recordings and reports went, and why.

A recording holds requests, answers and instants, so everything can be told of it. A JSON report holds
the breakdowns and findings that its run made; of one without them only what the metrics of its calls
tell is shown, and what is missing is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli.check import find as find_recordings
from pytest_claude_latency.diagnosis.breakdown import Breakdown, Part
from pytest_claude_latency.diagnosis.recorded_traces import RecordedTraces, trace_of
from pytest_claude_latency.diagnosis.rules import Finding, Trace, find, listing
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.errors import CassetteError

_LACKS = (
    "it lacks breakdowns and findings, which need what was sent and when the answer came; what follows is only what",
    "the metrics of its calls tell: connections, retries, stalls and the application's time are not told apart",
    "explain the recordings instead, where there are any: claude-latency explain DIR",
)


def explain(places: Iterable[Path], folder: str) -> tuple[list[str], bool]:
    """The lines that explain these files, and all recordings and reports in these folders; whether all could be read.

    `folder` is the name of folders of recordings.
    """
    places = list(places)
    reports = _reports(places)
    recordings = [path for path in find_recordings(places, folder) if path not in reports]
    recorded_traces, lines, whole = RecordedTraces(), list[str](), True
    for path in recordings:
        try:
            explained = _recording(path, recorded_traces, recordings)
        except CassetteError as error:
            explained, whole = [str(error)], False
        lines += [*explained, ""]
    for path, report in reports.items():
        try:
            lines += [*_report(path, report), ""]
        except (KeyError, TypeError, ValueError, AttributeError):  # whatever it is that stands there
            lines, whole = [*lines, f"cannot read {path}: it is no JSON report of a run", ""], False
    return lines[:-1], whole


# ── recordings ──


def _recording(path: Path, recorded_traces: RecordedTraces, recordings: Sequence[Path]) -> list[str]:
    recording = Recording.load(path)
    others = {*recordings, *path.parent.glob("*.jsonl")} - {path}
    trace = trace_of(recording).compared_with(recorded_traces.read(others))
    sample = "" if recording.sample == 1 else f", sample {recording.sample}"
    return [f"{path}", f"  {recording.test}{sample}", *(f"  {line}" for line in explained(trace))]


def explained(trace: Trace) -> list[str]:
    """The breakdown of a run and of each of its calls, its critical path and all findings about it."""
    if not trace.order:
        return ["no calls"]
    several = len(trace.order) > 1
    lines = [f"{'test' if several else 'call':<10}{trace.breakdown.text()}"]
    if several:
        lines += [_call(trace, call.number) for call in trace.calls]
        lines.append(f"{'path':<10}{_path(trace)}")
    return [*lines, *(listing(find(trace)) or ["no findings"])]


def _call(trace: Trace, number: int) -> str:
    call = trace.calls[number - 1]
    sent = (call.sent - trace.calls[0].sent) // MILLISECOND
    return f"{f'call {number}':<10}{call.breakdown.text()} ({call.timeline.model or 'model unknown'}, sent at {sent}ms)"


def _path(trace: Trace) -> str:
    """The critical path in words; steps that took less than a hundredth of it are left out."""
    least = trace.breakdown.total / 100
    steps = [step for step in trace.breakdown.path if step.end - step.start >= least]
    return ", ".join("the application" if step.call is None else trace.request(step.call) for step in steps)


# ── reports ──


def _reports(places: Sequence[Path]) -> dict[Path, Mapping[str, Any] | None]:
    """The JSON reports in these places; None for a file that was named and is none."""
    named = [place for place in places if place.is_file() and place.suffix == ".json"]
    found = {file for place in places if place.is_dir() for file in place.rglob("*.json")}
    reports: dict[Path, Mapping[str, Any] | None] = {path: _read(path) for path in sorted(found)}
    return {path: report for path, report in reports.items() if report} | {path: _read(path) for path in named}


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    tests = report.get("tests") if isinstance(report, dict) and "schema" in report else None
    return report if isinstance(tests, list) and all(map(_is_test, tests)) else None


def _is_test(test: object) -> bool:
    return isinstance(test, dict) and isinstance(test.get("nodeid"), str) and isinstance(test.get("calls"), list)


def _report(path: Path, report: Mapping[str, Any] | None) -> list[str]:
    if report is None:
        raise ValueError("it has not the keys of a report")
    tests = report["tests"]
    lacks = any("breakdown" not in test for test in tests)
    lines = [f"{path} ({report.get('mode')}, {report.get('clock')} clock)", *(f"  {line}" for line in _LACKS if lacks)]
    for test in tests:
        sample = "" if test.get("sample", 1) == 1 else f", sample {test['sample']}"
        lines += [f"  {test['nodeid']}{sample}", *(f"    {line}" for line in _test(test))]
    return lines


def _test(test: Mapping[str, Any]) -> Iterator[str]:
    calls = test["calls"]
    if test.get("breakdown"):
        yield f"{'test':<10}{Breakdown.from_json(test['breakdown'], _tokens(calls), len(calls)).text()}"
    elif not calls:
        yield "no calls"
    for number, call in enumerate(calls, 1):
        if len(calls) > 1 or not test.get("breakdown"):
            parts = call.get("breakdown") or _coarse(call)
            yield f"{f'call {number}':<10}{Breakdown.from_json(parts, _tokens([call]), 1).text()}"
    if "findings" in test:
        yield from listing(map(Finding.from_json, test["findings"])) or ["no findings"]


def _tokens(calls: Iterable[Mapping[str, Any]]) -> int | None:
    """The tokens of all answers, thinking left out; None where a call does not tell."""
    total = 0
    for call in calls:
        if call.get("output_tokens") is None:
            return None
        total += call["output_tokens"] - (call.get("thinking_tokens") or 0)
    return total


def _coarse(call: Mapping[str, Any]) -> dict[str, float]:
    """The parts that the metrics of a call tell apart."""
    total, ttft, ttfa = (call.get(name) for name in ("total", "ttft", "ttfa"))
    if total is None:
        return {}
    if not call.get("streamed"):
        return {Part.WHOLE: total}
    first = total if ttft is None else ttft
    answer = first if ttfa is None else ttfa
    spans = {Part.WAITING: first, Part.THINKING: answer - first, Part.ANSWERING: total - answer}
    return {part: round(span, 6) for part, span in spans.items() if span > 0}
