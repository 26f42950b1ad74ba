"""The terminal section `claude latency`: a row per test, then counts, warnings and notes.

It keeps to the width of the terminal: what gives way is the middle of a test's
id, since its file begins it and its name ends it.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_claude_latency.budgets.judgement import headline
from pytest_claude_latency.metrics.call_text import describe, moments
from pytest_claude_latency.report import variants
from pytest_claude_latency.report.summary import Row, Summary
from pytest_claude_latency.report.table import Table, counts, elsewhere, not_judged, table

if TYPE_CHECKING:
    import pytest

    from pytest_claude_latency.metrics.timeline import Call
    from pytest_claude_latency.results.variant_ranking import Trial

_COLOURS = {
    "broken": "red",
    "failed": "red",
    "error": "red",
    "regression": "red",
    "not compared": "red",
    "improvement": "green",
    "kept": "green",
    "no calls": "yellow",
    "inconclusive": "yellow",
    "too few runs": "yellow",
}
_NOTES = 10
"""More notes than this are for `-v`."""
_NARROWEST_ID = 16
_GAP = "  "


def write(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    """Write the section; where budgets are not judged, one line that says so and how to judge them."""
    if summary.run.judged or summary.comparisons:
        if summary.rows:
            _section(summary, reporter)
    elif line := not_judged(summary):
        reporter.write_line(line)
    if summary.trials:
        _variants(summary, reporter)
    if summary.run.explained:
        _explanations(summary, reporter)
    for warning in summary.warnings:
        _wrapped(f"warning: {warning}", reporter, indent=0, yellow=True)
    _notes(summary.notes, reporter)


def _section(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    content = table(summary)
    widths = column_widths(content, _width(reporter))
    reporter.write_sep("=", "claude latency")
    reporter.write_line(_GAP.join(_padded(content.headers, widths)).rstrip(), bold=True)
    for row, cells in zip(summary.rows, content.cells, strict=True):
        *facts, verdict = _padded((shorten(cells[0], widths[0]), *cells[1:]), widths)
        reporter.write(_GAP.join(facts) + _GAP)
        reporter.write_line(verdict.rstrip(), **_markup(row.verdict))
        _details(row, reporter)
    for footnote in content.footnotes:
        reporter.write_line(footnote)
    _wrapped(counts(summary), reporter, indent=0, **_markup("broken" if summary.verdicts.get("broken") else "kept"))


def _variants(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    """Each test that was tried in variants: a table, and what to make of it."""
    reporter.write_sep("=", "claude latency: variants")
    for trial in summary.trials:
        _wrapped(trial.nodeid, reporter, indent=0, bold=True)
        _trial(trial, reporter)
        _wrapped(trial.recommendation(), reporter, indent=2)


def _trial(trial: Trial, reporter: pytest.TerminalReporter) -> None:
    """The table of a trial. Names are there to be read whole: where they leave no room, they get lines of their own."""
    content = variants.table(trial)
    widths = column_widths(content, _width(reporter))
    beside = widths[0] >= max(columns(cells[0]) for cells in content.cells)
    if not beside:
        widths[0] = columns(content.headers[0])
    best = trial.fastest.name if trial.fastest else ""
    reporter.write_line(_GAP.join(_padded(content.headers, widths)).rstrip())
    for name, *facts in content.cells:
        markup = _markup("kept") if name == best else {}
        if not beside:
            reporter.write_line(name, **markup)
        reporter.write_line(_GAP.join(_padded((name if beside else "", *facts), widths)).rstrip(), **markup)
    for footnote in content.footnotes:
        reporter.write_line(f"  {footnote}")


def _explanations(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    from pytest_claude_latency.report.explanation import explanation

    explained = {row.nodeid: lines for row in summary.rows if (lines := explanation(row.samples))}
    if explained:
        reporter.write_sep("-", "where the time went")
    for nodeid, lines in explained.items():
        _wrapped(nodeid, reporter, indent=0)
        for line in lines:
            _wrapped(line, reporter, indent=2, hang=10)


def _markup(verdict: str) -> dict[str, bool]:
    return {_COLOURS[verdict]: True} if verdict in _COLOURS else {}


def column_widths(content: Table, width: int) -> list[int]:
    """The width of each column, the first one taking what the others leave of `width`."""
    longest = [max(map(columns, column)) for column in zip(content.headers, *content.cells, strict=True)]
    left = width - sum(longest[1:]) - len(_GAP) * (len(longest) - 1)
    return [min(longest[0], max(left, _NARROWEST_ID)), *longest[1:]]


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Text to the left, numbers to the right."""
    last = len(cells) - 1
    padded = []
    for position, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        space = " " * (width - columns(cell))
        padded.append(cell + space if position in (0, last) else space + cell)
    return padded


def columns(text: str) -> int:
    """How many columns `text` takes: Chinese or Japanese characters take two, combining ones none."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` columns; a longer one loses its middle, and keeps more of its end."""
    if columns(text) <= width:
        return text
    head, tail = (width - 1) // 3, width - 1 - (width - 1) // 3
    return f"{_start(text, head)}…{_start(text[::-1], tail)[::-1]}"


def _start(text: str, width: int) -> str:
    """As much of the start of `text` as fits in `width` columns."""
    taken = 0
    for position, char in enumerate(text):
        taken += columns(char)
        if taken > width:
            return text[:position]
    return text


def _details(row: Row, reporter: pytest.TerminalReporter) -> None:
    for judgement in elsewhere(row):
        _wrapped(headline(judgement), reporter, indent=2)
    for run_verdict in row.run_verdicts:
        if run_verdict.shown:
            _wrapped(run_verdict.headline, reporter, indent=2)
        for note in run_verdict.notes:
            _wrapped(f"changed: {note}", reporter, indent=4)
    if reporter.verbosity > 0:
        for sample in row.samples:
            place = f"sample {sample.sample}, " if len(row.samples) > 1 else ""
            for number, call in enumerate(sample.setup_calls, start=1):
                _call(f"{place}set-up call {number}", call, reporter)
            for number, call in enumerate(sample.calls, start=1):
                _call(f"{place}call {number}", call, reporter)


def _call(name: str, call: Call, reporter: pytest.TerminalReporter) -> None:
    tokens = ""
    if call.prompt_tokens is not None and call.output_tokens is not None:
        tokens = f", {call.prompt_tokens} + {call.output_tokens} tokens"
    _wrapped(f"{name}: {describe(call)}{tokens}", reporter, indent=2)
    _wrapped(moments(call), reporter, indent=4)


def _wrapped(text: str, reporter: pytest.TerminalReporter, indent: int, hang: int = 2, **markup: bool) -> None:
    margin = " " * indent
    for line in text.splitlines():
        parts = textwrap.wrap(
            line,
            _width(reporter),
            initial_indent=margin,
            subsequent_indent=margin + " " * hang,
            break_long_words=False,  # a path is there to be copied
            break_on_hyphens=False,
        )
        for part in parts:
            reporter.write_line(part, **markup)


def _width(reporter: pytest.TerminalReporter) -> int:
    """The characters of a line, less the last: writing there wraps on some terminals."""
    return max(reporter.config.get_terminal_writer().fullwidth - 1, 40)


def _notes(notes: Sequence[str], reporter: pytest.TerminalReporter) -> None:
    shown = notes if reporter.verbosity > 0 else notes[:_NOTES]
    for note in shown:
        _wrapped(f"note: {note}", reporter, indent=0)
    if len(shown) < len(notes):
        reporter.write_line(f"note: {len(notes) - len(shown)} more notes, shown with -v")
