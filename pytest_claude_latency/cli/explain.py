"""`claude-latency explain`: where the time of recordings and reports went, and why.

A recording holds requests, answers and times, so everything can be said about it. A JSON report holds the breakdowns
and findings that its run made. For a report without them only what the metrics of its calls tell is shown, and a few
lines say what is missing.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from json import JSONDecodeError
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins

from pytest_claude_latency.baselines.facts import Count, Seconds
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli import explained_documents
from pytest_claude_latency.cli.check import FOLDER_HELP, folder_of, refuse_missing
from pytest_claude_latency.cli.check import find as find_recordings
from pytest_claude_latency.cli.explained_documents import Entry
from pytest_claude_latency.cli.output import say
from pytest_claude_latency.diagnosis.breakdown import Breakdown, Part, told_by_metrics
from pytest_claude_latency.diagnosis.recorded_traces import RecordedTraces, trace_of
from pytest_claude_latency.diagnosis.rules import Finding, Trace, find, listing
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.errors import CassetteError, FileError, ReportError
from pytest_claude_latency.known_files import is_report
from pytest_claude_latency.printable import printable, wrapped
from pytest_claude_latency.strict_json import JSONFaultError, convert, parse, read_report, read_text

_LACKS = (
    "it lacks breakdowns and findings, which need the requests and the times of the answers; what follows is only what",
    "the metrics of its calls tell: connections, retries, stalls and the application's time are not told apart",
    "explain the recordings instead, if there are any: claude-latency explain DIR",
)
_NO_FINDINGS = "no findings"
_LABEL = re.compile(r" *(?:test|call|call \d+|made at|path|finding) {2,}| {10,}")
_StructT = TypeVar("_StructT", bound=Struct)


# Structs of a report take keys they do not name: later versions may add some.


class _Saving(Struct, frozen=True, kw_only=True):
    seconds: Seconds
    how: str
    calls: Count
    made_up: bool = False


class _Finding(Struct, frozen=True, kw_only=True):
    rule: str
    fact: str
    remedy: str
    cost: Seconds
    guide: int | None = None
    saving: _Saving | None = None
    calls: tuple[Count, ...] = ()
    made_at: tuple[str, ...] = ()


_Parts: TypeAlias = Annotated[dict[Part, Seconds], Meta(description="an object of parts with their seconds")]


class _Call(Struct, frozen=True, kw_only=True):
    streamed: bool = False
    sent: Seconds | None = None
    ttft: Seconds | None = None
    ttfa: Seconds | None = None
    total: Seconds | None = None
    output_tokens: Count | None = None
    thinking_tokens: Count | None = None
    breakdown: _Parts | None = None
    location: str | None = None


class _Test(Struct, frozen=True, kw_only=True):
    nodeid: str
    sample: int = 1
    calls: list[Any]
    breakdown: _Parts | UnsetType | None = UNSET
    findings: list[Any] | UnsetType = UNSET


class _Report(Struct, frozen=True, kw_only=True):
    schema: Any
    mode: str | None = None
    clock: str | None = None
    tests: list[Any]


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
    parser.add_argument(
        "--format",
        choices=("text", *explained_documents.FORMATS),
        default="text",
        help="markdown or json: the costliest findings with their lines and the command to verify them, at most about "
        "2,000 tokens, for a coding agent",
    )
    parser.set_defaults(run=run, parser=parser)


def run(chosen: argparse.Namespace) -> int:
    """Print what explains the recordings and reports in the chosen places."""
    refuse_missing(chosen)
    if chosen.format != "text":
        entries, errors = _entries(chosen.places, folder_of(chosen))
        say(*errors, error=True) if errors else None
        print(explained_documents.render(entries, chosen.format))
        return 0 if entries and not errors else 1
    lines, all_read = explain(chosen.places, folder_of(chosen))
    columns = shutil.get_terminal_size().columns
    for line in lines or [f"no recordings or reports in {' '.join(map(str, chosen.places))}"]:
        # what follows a label goes on behind it; paths and ids stay in one line
        label = _LABEL.match(line)
        say(*(wrapped(printable(line), columns, following=" " * label.end()) if label else [line]))
    return 0 if lines and all_read else 1


def explain(places: Sequence[Path], folder: str) -> tuple[list[str], bool]:
    """Return the lines that explain these files, and all recordings and reports in these folders.

    `folder` is the name of folders of recordings. The second value is whether all files could be read.
    """
    recordings, reports = _found(places, folder)
    lines: list[str] = []
    all_read = True
    for path, trace in _traces(recordings):
        if isinstance(trace, CassetteError):
            lines += [str(trace), ""]
            all_read = False
            continue
        sample = "" if trace.sample == 1 else f", sample {trace.sample}"
        lines += [f"{path}", f"  {trace.nodeid}{sample}", *(f"  {line}" for line in explained(trace)), ""]
    for path in reports:
        try:
            lines += [*_report_lines(path), ""]
        except FileError as error:
            lines += [str(error), ""]
            all_read = False
    # without the empty line behind the last block
    return lines[:-1], all_read


def _found(places: Sequence[Path], folder: str) -> tuple[list[Path], list[Path]]:
    """Return the recordings and the reports in these places."""
    reports: list[Path] = []
    for file in (file for place in places if place.is_dir() for file in sorted(place.rglob("*.json"))):
        with suppress(FileError):  # in a folder there may be any other JSON
            if is_report(read_text(file, ReportError)):
                reports.append(file)
    # a file that the user names is to be a report
    reports += [place for place in places if place.is_file() and place.suffix == ".json"]
    # every file that is named counts as a recording until it turned out to be a report
    return [path for path in find_recordings(places, folder) if path not in reports], list(dict.fromkeys(reports))


def _traces(recordings: Sequence[Path]) -> Iterator[tuple[Path, Trace | CassetteError]]:
    """Yield each recording with its trace, or with why it cannot be read."""
    recorded_traces = RecordedTraces()
    for path in recordings:
        try:
            recording = Recording.load(path)
        except CassetteError as error:
            yield path, error
            continue
        # some findings compare a call with those of other recordings: which answers differ, which prompts are alike
        others = {*recordings, *path.parent.glob("*.jsonl")} - {path}
        yield path, trace_of(recording).compared_with(recorded_traces.read(others))


def _entries(places: Sequence[Path], folder: str) -> tuple[list[Entry], list[str]]:
    """Return what is known of each test in these places, and which files could not be read."""
    recordings, reports = _found(places, folder)
    entries: list[Entry] = []
    errors: list[str] = []
    for path, trace in _traces(recordings):
        if isinstance(trace, CassetteError):
            errors.append(str(trace))
        else:
            time = trace.breakdown.text() if trace.order else "no calls"
            entries.append(Entry(str(path), trace.nodeid, trace.sample, time, find(trace)))
    for path in reports:
        try:
            tests = convert(parse(read_report(path, ReportError)), _Report).tests
            for fact in tests:
                test = convert(fact, _Test)
                calls = [_numbered(call, _Call, f"call {number}") for number, call in enumerate(test.calls, 1)]
                time = Breakdown.from_json(test.breakdown or {}, _answer_tokens(calls), len(calls)).text()
                findings = (_with_lines(finding, calls) for finding in _findings_of(test))
                entries.append(Entry(str(path), test.nodeid, test.sample, time, tuple(findings)))
        except (FileError, JSONFaultError) as error:
            errors.append(str(error) if isinstance(error, FileError) else f"cannot read the report {path}: {error}")
    return entries, errors


def _with_lines(finding: Finding, calls: Sequence[_Call]) -> Finding:
    """Return a finding with the lines of its calls: a report leaves them out where one line makes all calls."""
    lines = [call.location for number, call in enumerate(calls, 1) if not finding.calls or number in finding.calls]
    return finding if finding.made_at else replace(finding, made_at=tuple(dict.fromkeys(filter(None, lines))))


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


def _report_lines(path: Path) -> list[str]:
    """Return the lines that explain a report.

    Raises:
        FileError: it cannot be read: where in it, and why.
    """
    text, place = read_report(path, ReportError), ""
    try:
        report = convert(parse(text), _Report)
        lines, lacks = [f"{path} ({report.mode}, {report.clock} clock)"], False
        for number, fact in enumerate(report.tests, 1):
            place = f"test {number} in it: "
            test = convert(fact, _Test)
            lacks = lacks or test.breakdown is UNSET
            lines += _test_lines(test)
    except JSONFaultError as fault:
        line = fault.__cause__.lineno if isinstance(fault.__cause__, JSONDecodeError) else None
        raise ReportError(path, line, f"{place}{fault}") from None
    # versions before breakdowns existed did not write the key; null means nothing to break down
    return [lines[0], *(f"  {line}" for line in _LACKS if lacks), *lines[1:]]


def _test_lines(test: _Test) -> Iterator[str]:
    calls = [_numbered(call, _Call, f"call {number}") for number, call in enumerate(test.calls, 1)]
    yield f"  {test.nodeid}" if test.sample == 1 else f"  {test.nodeid}, sample {test.sample}"
    if test.breakdown:
        text = Breakdown.from_json(test.breakdown, _answer_tokens(calls), len(calls)).text()
        yield f"    {'test':<10}{text}"
    elif not calls:
        yield "    no calls"
    # the breakdown of a test with one call is that of the call
    if len(calls) == 1 and test.breakdown and calls[0].location:
        yield f"    {'made at':<10}{calls[0].location}"
    if len(calls) > 1 or not test.breakdown:
        for number, call in enumerate(calls, 1):
            spans = told_by_metrics(to_builtins(call)) if call.total is not None else []
            parts = call.breakdown or {part: round(until - since, 6) for part, since, until in spans}
            text = Breakdown.from_json(parts, _answer_tokens([call]), 1).text()
            made_at = f" ({call.location})" if call.location else ""
            yield f"    {f'call {number}':<10}{text}{made_at}"
    if test.findings is not UNSET:
        yield from (f"    {line}" for line in listing(_findings_of(test)) or [_NO_FINDINGS])


def _findings_of(test: _Test) -> list[Finding]:
    facts = [] if test.findings is UNSET else test.findings
    found = [_numbered(fact, _Finding, f"finding {number}") for number, fact in enumerate(facts, 1)]
    return [Finding.from_json(to_builtins(fact)) for fact in found]


def _numbered(fact: object, struct: type[_StructT], place: str) -> _StructT:
    try:
        return convert(fact, struct)
    except JSONFaultError as fault:
        raise JSONFaultError(f"{place}: {fault}") from None


def _answer_tokens(calls: Sequence[_Call]) -> dict[Part, int | None]:
    """Return the tokens of the answers without thinking, streamed or not; None if a call does not tell them.

    Of calls that overlap, only some are in the breakdown of their test, and a report does not say which: their tokens
    are not told.
    """
    tokens: dict[Part, int | None] = {}
    ordered = sorted(calls, key=lambda call: call.sent or 0.0)
    # neighbours are enough: where any two calls overlap, two that follow each other do
    overlap = any(
        (call.sent or 0.0) + (call.total or 0.0) > (following.sent or 0.0) for call, following in pairwise(ordered)
    )
    for call in ordered:
        part = Part.ANSWERING if call.streamed else Part.WHOLE
        known = tokens.get(part, 0)
        if overlap or known is None or call.output_tokens is None:
            tokens[part] = None
        else:
            tokens[part] = known + call.output_tokens - (call.thinking_tokens or 0)
    return tokens
