"""`claude-latency show` draws the timeline of recordings in the terminal; `diff` sets two recordings side by side."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.cassettes.changes import changes
from pytest_claude_latency.cassettes.mismatch import differences
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.secrets import conceal
from pytest_claude_latency.cli.check import FOLDER_HELP, find, folder_of, refuse_missing
from pytest_claude_latency.cli.output import say
from pytest_claude_latency.diagnosis.breakdown import Part, Segment
from pytest_claude_latency.diagnosis.recorded_traces import trace_of
from pytest_claude_latency.diagnosis.trace import Trace
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.metrics.call_text import describe, moments
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.printable import wrapped
from pytest_claude_latency.report.columns import column_widths, line_of, shorten

SIGNS: Final[Mapping[Part, str]] = {
    Part.CONNECTION: "c",
    Part.REFUSED: "x",
    Part.BACK_OFF: "~",
    Part.WAITING: ".",
    Part.THINKING: "▒",
    Part.ANSWERING: "█",
    Part.TOOLS: "t",
    Part.STALLED: "!",
    Part.WHOLE: "▓",
    Part.POLLING: "p",
    Part.OTHER: "o",
    Part.APPLICATION: "-",
}
"""What a bar shows for each part."""
_LABEL: Final = 10
_LEAST_WIDTH: Final = 20
_GLUE: Final = "\N{NO-BREAK SPACE}"
"""Stands for a space at which no line ends."""
_SHOWN: Final = 40
"""Columns of a value that differs."""


def declare(commands: Any) -> None:
    """Add both commands to those of the parser."""
    parser = commands.add_parser(
        "show",
        help="draw the timeline of recordings",
        description="Draw each call of recordings as a bar on the time axis of its test.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="FILE|DIR", help="a recording, or a folder")
    parser.add_argument("--cassettes", metavar="DIR", help=FOLDER_HELP)
    parser.set_defaults(run=show, parser=parser)
    parser = commands.add_parser(
        "diff",
        help="compare two recordings",
        description="Show what differs between the requests of two recordings, and what each call spent its time on. "
        "Exit status 1 if anything differs.",
    )
    parser.add_argument("places", nargs=2, type=Path, metavar="FILE", help="a recording")
    parser.set_defaults(run=diff, parser=parser)


def show(chosen: argparse.Namespace) -> int:
    """Draw the recordings in the chosen places; those that cannot be read are told."""
    refuse_missing(chosen)
    paths = find(chosen.places, folder_of(chosen))
    if not paths:
        say(f"no recordings in {' '.join(map(str, chosen.places))}")
    all_read = bool(paths)
    for place, path in enumerate(paths):
        try:
            recording = Recording.load(path)
        except CassetteError as error:
            say(str(error), error=True)
            all_read = False
            continue
        sample = "" if recording.sample == 1 else f", sample {recording.sample}"
        head = [f"{path}", f"  {recording.test}{sample}", f"  recorded {recording.recorded}, {recording.client}"]
        width = shutil.get_terminal_size().columns - _LABEL - 3
        say(*([""] if place else []), *head, *timeline(trace_of(recording), max(width, _LEAST_WIDTH)))
    return 0 if all_read else 1


def timeline(trace: Trace, width: int) -> Iterator[str]:
    """Yield the lines of a drawing whose bars are `width` columns long."""
    if not trace.order:
        yield "  no calls"
        return
    end = max([trace.origin + trace.breakdown.total, *(call.over for call in trace.calls)]) or 1
    right = duration.show(end)
    yield f"  {'':<{_LABEL}}0ms{right:>{width - 3}}"
    yield f"  {'test':<{_LABEL}}{_bar(trace.breakdown.segments, trace.origin, end, width)}"
    for call in trace.calls:
        yield f"  {f'call {call.number}':<{_LABEL}}{_bar(call.breakdown.segments, call.sent, end, width)}"
        measured = measure(call.attempts)
        yield from _under_bar(describe(measured), ", ", width)
        yield from _under_bar(moments(measured, measured.sent), " · ", width)
    breakdowns = [trace.breakdown, *(call.breakdown for call in trace.calls)]
    used = {segment.part for breakdown in breakdowns for segment in breakdown.segments}
    names = (f"{sign} {str(part).replace('_', '-')}" for part, sign in SIGNS.items() if part in used)
    yield from _under_bar("  ".join(names), "  ", width)


def _under_bar(facts: str, separator: str, width: int) -> list[str]:
    """Return facts in lines as long as the bar above them; a line ends between two facts."""
    whole = separator.join(fact.replace(" ", _GLUE) for fact in facts.split(separator))
    indent = " " * (_LABEL + 2)
    return [line.replace(_GLUE, " ") for line in wrapped(whole, _LABEL + 2 + width, indent, indent)]


def _bar(segments: Sequence[Segment], since: Nanoseconds, end: Nanoseconds, width: int) -> str:
    """Return a bar: each column shows what most of its time was spent on."""
    columns = []
    for place in range(width):
        start, until = end * place // width, end * (place + 1) // width
        shares: dict[str, int] = {}
        for segment in segments:
            inside = min(since + segment.end, until) - max(since + segment.start, start)
            if inside > 0:
                sign = SIGNS[segment.part]
                shares[sign] = shares.get(sign, 0) + inside
        columns.append(max(shares, key=lambda sign: shares[sign]) if shares else " ")
    return "".join(columns).rstrip()


def diff(chosen: argparse.Namespace) -> int:
    """Print what differs between two recordings, call by call.

    Raises:
        CassetteError: one of them cannot be read.
    """
    refuse_missing(chosen)
    lines = list(differing(*(trace_of(Recording.load(path)) for path in chosen.places)))
    say(f"A  {chosen.places[0]}", f"B  {chosen.places[1]}", *lines or ["no difference"])
    return 1 if lines else 0


def differing(before: Trace, after: Trace) -> Iterator[str]:
    """Yield the lines about each call that differs, in its request, its answer or its times."""
    if (old := before.breakdown.parts) != (new := after.breakdown.parts):
        yield "test"
        yield from _table(_phases(old, new, before.breakdown.total, after.breakdown.total))
    for number, (one, other) in enumerate(zip_longest(before.calls, after.calls), 1):
        if one is None or other is None:
            yield f"call {number}"
            (only,) = [call for call in (one, other) if call is not None]
            yield f"  only in {'A' if other is None else 'B'}: {describe(measure(only.attempts))}"
            continue
        recorded, sent = one.attempts[0].request, other.attempts[0].request
        lines = [f"  request   {change.text}" for change in changes(recorded, sent)]
        for difference in differences(recorded, sent):
            # before they are cut: half a key is not recognized
            values = [shorten(conceal(repr(value)), _SHOWN) for value in (difference.recorded, difference.sent)]
            lines.append(f"  request   {difference.path}: {values[0]} → {values[1]}")
        rows = _phases(one.breakdown.parts, other.breakdown.parts, one.breakdown.total, other.breakdown.total)
        answers = [measure(call.attempts) for call in (one, other)]
        for name in ("model", "prompt_tokens", "output_tokens", "stop_reason", "error", "attempts"):
            was, now = ("-" if (value := getattr(answer, name)) is None else str(value) for answer in answers)
            if was != now:
                rows.append((name, was, now, ""))
        lines += _table(rows)
        if lines:
            yield f"call {number}"
            yield from lines


def _phases(
    old: Mapping[Part, int], new: Mapping[Part, int], old_total: Nanoseconds, new_total: Nanoseconds
) -> list[tuple[str, str, str, str]]:
    if old == new:
        return []
    spans = [(str(part).replace("_", "-"), old.get(part, 0), new.get(part, 0)) for part in Part]
    return [
        (name, duration.show(was), duration.show(now), f"{'+' if now >= was else '-'}{duration.show(abs(now - was))}")
        for name, was, now in [*spans, ("total", old_total, new_total)]
        if was or now
    ]


def _table(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    if rows:
        table = [("", "A", "B", "change"), *rows]
        widths = column_widths(table)
        yield from (f"  {line_of(row, widths, numbers=(1, 2, 3))}" for row in table)
