"""`claude-latency explain`: where the time of recordings and reports went, and why.

A recording holds requests, answers and times, so everything can be said about it. A JSON report holds the breakdowns
and findings that its run made. For a report without them only what the metrics of its calls tell is shown, and a few
lines say what is missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli.check import FOLDER_HELP, folder_of, refuse_missing
from pytest_claude_latency.cli.check import find as find_recordings
from pytest_claude_latency.cli.output import say
from pytest_claude_latency.diagnosis.breakdown import Breakdown, Part
from pytest_claude_latency.diagnosis.recorded_traces import RecordedTraces, trace_of
from pytest_claude_latency.diagnosis.rules import Finding, Trace, find, listing
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.errors import CassetteError, FileError
from pytest_claude_latency.strict_json import JSONFaultError, convert, parse, read_text

_LACKS = (
    "it lacks breakdowns and findings, which need the requests and the times of the answers; what follows is only what",
    "the metrics of its calls tell: connections, retries, stalls and the application's time are not told apart",
    "explain the recordings instead, if there are any: claude-latency explain DIR",
)
_NO_FINDINGS = "no findings"


class _Test(Struct, frozen=True, kw_only=True):
    """A test of a report; keys that are not named here do not matter."""

    nodeid: str
    sample: int = 1
    calls: tuple[dict[str, Any], ...]
    breakdown: dict[str, Any] | UnsetType | None = UNSET
    findings: tuple[dict[str, Any], ...] | UnsetType = UNSET


class _Report(Struct, frozen=True, kw_only=True):
    schema: Any
    mode: str | None = None
    clock: str | None = None
    tests: tuple[_Test, ...]


def declare(commands: Any) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "explain",
        help="show where the time of recordings went, and what would save some of it",
        description="Break the time of recordings, and of the JSON reports of runs, down into parts, and list what was "
        "found about them, each with its remedy.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="FILE|DIR", help="a recording, a report, or a folder")
    parser.add_argument("--cassettes", metavar="DIR", help=FOLDER_HELP)
    parser.set_defaults(run=run, parser=parser)


def run(chosen: argparse.Namespace) -> int:
    """Print what explains the recordings and reports in the chosen places."""
    refuse_missing(chosen)
    lines, all_read = explain(chosen.places, folder_of(chosen))
    say(*lines or [f"no recordings or reports in {' '.join(map(str, chosen.places))}"])
    return 0 if lines and all_read else 1


def explain(places: Sequence[Path], folder: str) -> tuple[list[str], bool]:
    """Return the lines that explain these files, and all recordings and reports in these folders.

    `folder` is the name of folders of recordings. The second value is whether all files could be read.
    """
    reports = {file: _read(file) for place in places if place.is_dir() for file in sorted(place.rglob("*.json"))}
    reports = {file: report for file, report in reports.items() if report is not None}
    # a file that the user names is to be a report; in a folder there may be any other JSON
    reports |= {place: _read(place) for place in places if place.is_file() and place.suffix == ".json"}
    # every file that is named counts as a recording until it turned out to be a report
    recordings = [path for path in find_recordings(places, folder) if path not in reports]
    recorded_traces = RecordedTraces()
    lines: list[str] = []
    all_read = True
    for path in recordings:
        try:
            recording = Recording.load(path)
        except CassetteError as error:
            lines += [str(error), ""]
            all_read = False
            continue
        # some findings compare a call with those of other recordings: which answers differ, which prompts are alike
        others = {*recordings, *path.parent.glob("*.jsonl")} - {path}
        trace = trace_of(recording).compared_with(recorded_traces.read(others))
        sample = "" if recording.sample == 1 else f", sample {recording.sample}"
        lines += [f"{path}", f"  {recording.test}{sample}", *(f"  {line}" for line in explained(trace)), ""]
    for path, report in reports.items():
        try:
            if report is None:
                raise ValueError("it does not have the keys of a report")
            lines += [f"{path} ({report.mode}, {report.clock} clock)", *_report_lines(report), ""]
        except (KeyError, TypeError, ValueError, AttributeError):  # a breakdown or finding may hold anything
            lines += [f"cannot read {path}: it is not the JSON report of a run", ""]
            all_read = False
    # without the empty line behind the last block
    return lines[:-1], all_read


def explained(trace: Trace) -> list[str]:
    """Return the breakdown of a run and of each of its calls, its critical path and all findings about it."""
    findings = listing(find(trace)) or [_NO_FINDINGS]
    if not trace.order:
        return ["no calls"]
    if len(trace.order) == 1:
        return [f"{'call':<10}{trace.breakdown.text()}", *findings]
    lines = [f"{'test':<10}{trace.breakdown.text()}"]
    for call in trace.calls:
        sent = (call.sent - trace.calls[0].sent) // MILLISECOND
        model = call.timeline.model or "model unknown"
        lines.append(f"{f'call {call.number}':<10}{call.breakdown.text()} ({model}, sent at {sent}ms)")
    # steps that took less than a hundredth of the path are left out
    steps = [step for step in trace.breakdown.path if step.end - step.start >= trace.breakdown.total / 100]
    # calls are counted by number, but requests that make no message are on the path too
    names = ("the application" if step.call is None else trace.request(step.call) for step in steps)
    return [*lines, f"{'path':<10}{', '.join(names)}", *findings]


def _read(path: Path) -> _Report | None:
    try:
        return convert(parse(read_text(path, FileError)), _Report)
    except (FileError, JSONFaultError):
        return None


def _report_lines(report: _Report) -> Iterator[str]:
    # versions before breakdowns existed did not write the key; null means nothing to break down
    if any(test.breakdown is UNSET for test in report.tests):
        yield from (f"  {line}" for line in _LACKS)
    for test in report.tests:
        yield f"  {test.nodeid}" if test.sample == 1 else f"  {test.nodeid}, sample {test.sample}"
        if test.breakdown:
            text = Breakdown.from_json(test.breakdown, _answer_tokens(test.calls), len(test.calls)).text()
            yield f"    {'test':<10}{text}"
        elif not test.calls:
            yield "    no calls"
        # the breakdown of a test with one call is that of the call
        if len(test.calls) > 1 or not test.breakdown:
            for number, call in enumerate(test.calls, 1):
                parts = call.get("breakdown") or _parts_of_metrics(call)
                text = Breakdown.from_json(parts, _answer_tokens([call]), 1).text()
                yield f"    {f'call {number}':<10}{text}"
        if test.findings is not UNSET:
            yield from (f"    {line}" for line in listing(map(Finding.from_json, test.findings)) or [_NO_FINDINGS])


def _answer_tokens(calls: Sequence[Mapping[str, Any]]) -> dict[Part, int | None]:
    """Return the tokens of the answers without thinking, streamed or not; None if a call does not tell them.

    Of calls that overlap, only some are in the breakdown of their test, and a report does not say which: their tokens
    are not told.
    """
    tokens: dict[Part, int | None] = {}
    ordered = sorted(calls, key=lambda call: call.get("sent") or 0.0)
    # neighbours are enough: where any two calls overlap, two that follow each other do
    overlap = any(
        (call.get("sent") or 0.0) + (call.get("total") or 0.0) > following["sent"]
        for call, following in pairwise(ordered)
    )
    for call in ordered:
        part = Part.ANSWERING if call.get("streamed") else Part.WHOLE
        known, count = tokens.get(part, 0), call.get("output_tokens")
        if overlap or known is None or count is None:
            tokens[part] = None
        else:
            tokens[part] = known + count - (call.get("thinking_tokens") or 0)
    return tokens


def _parts_of_metrics(call: Mapping[str, Any]) -> dict[str, float]:
    """Return the parts that the metrics of a call tell apart, in seconds."""
    total, ttft, ttfa = (call.get(name) for name in ("total", "ttft", "ttfa"))
    if total is None:
        return {}
    if not call.get("streamed"):
        return {Part.WHOLE: total}
    # a call that got no token waited all the time; one that got only thinking never came to answer
    first = total if ttft is None else ttft
    answer = first if ttfa is None else ttfa
    spans = {Part.WAITING: first, Part.THINKING: answer - first, Part.ANSWERING: total - answer}
    return {part: round(span, 6) for part, span in spans.items() if span > 0}
