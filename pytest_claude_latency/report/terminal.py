"""The terminal section `claude latency`: a row for each test under its file, then counts, warnings and notes.

It keeps to the width of the terminal, and names of tests stay whole: one that has no room next to its figures gets a
line of its own. The worst stands first, since a screen holds no more than some twenty tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_claude_latency.budgets.judgement import fact, headline
from pytest_claude_latency.metrics.call_text import describe, moments, names_of
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import columns_of, printable
from pytest_claude_latency.report import columns, variants
from pytest_claude_latency.report.columns import GAP, by_file, column_widths, line_of, padded, shorten, width_of
from pytest_claude_latency.report.summary import Row, Summary
from pytest_claude_latency.report.table import counts, elsewhere, not_judged, samples_text, spreads_of, table
from pytest_claude_latency.results.simulation import ASSUMPTIONS
from pytest_claude_latency.results.variant_ranking import VariantRanking
from pytest_claude_latency.results.what_if import HEADERS

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
_SHORTEST_BAR, _LONGEST_BAR = 8, 20
_LEFT_OUT_OF_TESTS = ("tokens",)  # where a terminal has no room for all columns
_LEFT_OUT_OF_VARIANTS = ("TTFA", "prompt", "TTFT")
_NOTES = 10
"""How many notes are shown without `-v`."""


def write(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    """Write the section; where budgets are not judged, one line that says so and how to judge them."""
    # a comparison judges by itself: its rows are shown also in a run that does not judge budgets
    if summary.run.judged or summary.comparisons:
        if summary.rows:
            _write_tests(summary, reporter)
    elif line := not_judged(summary):
        columns.write(reporter, line)
    if summary.simulations or summary.what_if:
        _write_simulations(summary, reporter)
    if summary.variant_rankings:
        reporter.write_sep("=", "claude latency: variants")
    for ranking in summary.variant_rankings:
        _write_variants(ranking, reporter)
    if summary.run.explained:
        _write_explanations(summary, reporter)
    for warning in summary.warnings_once:
        columns.write(reporter, f"warning: {warning}", yellow=True)
    # a warning says that a number misleads, so all are shown; notes only explain numbers
    notes = summary.notes if reporter.verbosity > 0 else summary.notes[:_NOTES]
    for note in notes:
        columns.write(reporter, f"note: {note}")
    if hidden := len(summary.notes) - len(notes):
        columns.write(reporter, f"note: {number_of(hidden, 'more note')}, shown with -v")


def _write_tests(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    """Write the tests under their files, the worst first. A name that has no room gets a line above its figures."""
    content = table(summary)
    rows = {row.nodeid: row for row in summary.rows}
    cells = dict(zip(rows, content.cells, strict=True))
    files = by_file(row.nodeid for row in sorted(summary.rows, key=lambda row: row.urgency))
    names = {
        nodeid: printable(f"  {name}") + samples_text(rows[nodeid])
        for tests in files.values()
        for nodeid, name in tests.items()
    }
    # The first cell of a row is the whole node id. Under the line of its file the name is enough.
    lines = [content.headers, *((name, *cells[nodeid][1:]) for nodeid, name in names.items())]
    headers, others = columns.narrowed(lines, width_of(reporter), _LEFT_OUT_OF_TESTS)
    cells = dict(zip(names, others, strict=True))
    widths = column_widths([headers, *others], width_of(reporter), narrowest=columns_of(headers[0]))
    numbers = range(1, len(widths) - 1)  # the last column is the verdict, a word
    reporter.write_sep("=", "claude latency")
    reporter.write_line(line_of(headers, widths, numbers), bold=True)
    for file, tests in files.items():
        reporter.write_line(shorten(printable(file), width_of(reporter)))
        for nodeid in tests:
            name, row = shorten(names[nodeid], width_of(reporter)), rows[nodeid]
            if columns_of(name) > widths[0]:
                reporter.write_line(name)
                name = ""
            # only the verdict has a colour, so it is written by itself
            *facts, verdict = padded((name, *cells[nodeid][1:]), widths, numbers)
            reporter.write(GAP.join(facts) + GAP)
            reporter.write_line(verdict.rstrip(), **_markup(row.verdict))
            _write_details(row, reporter)
    for footnote in content.footnotes:
        columns.write(reporter, footnote)
    columns.write(reporter, counts(summary), **_markup("broken" if any(row.fails for row in rows.values()) else "kept"))


def _write_details(row: Row, reporter: pytest.TerminalReporter) -> None:
    """Write what no column of the row shows; with `-v` each call too."""
    judgements = elsewhere(row)
    for judgement in judgements:
        if judgement.broken:
            columns.write(reporter, headline(judgement), indent=4)
    for inner in row.inner:
        if inner.judgement.broken and row.fails:
            columns.write(reporter, f"{inner.headline()} ({inner.place})", indent=4)
    _listed([fact(judgement) for judgement in judgements if not judgement.broken], reporter)
    _listed(spreads_of(row), reporter)
    for run_verdict in row.run_verdicts:
        if run_verdict.shown:
            columns.write(reporter, run_verdict.headline, indent=4)
        word = "apart" if run_verdict.kind == "percentile" else "changed"
        for note in run_verdict.notes:
            columns.write(reporter, f"{word}: {note}", indent=6)
    if reporter.verbosity <= 0:
        return
    for sample in row.samples:
        place = f"sample {sample.sample}, " if len(row.samples) > 1 else ""
        calls = [(f"set-up call {number}", call) for number, call in enumerate(sample.setup_calls, 1)]
        calls += zip(names_of(sample.calls), sample.calls, strict=True)
        for name, call in calls:
            tokens = ""
            if call.prompt_tokens is not None and call.output_tokens is not None:
                tokens = f", {call.prompt_tokens} + {call.output_tokens} tokens"
            columns.write(reporter, f"{place}{name}: {describe(call)}{tokens}", indent=4)
            made_at = "" if call.location is None else f" · {call.location}"
            # on the test's own clock: only there it shows which calls ran side by side, and what lay between them
            columns.write(reporter, f"{moments(call, since=call.sent)}{made_at}", indent=6)


def _write_variants(ranking: VariantRanking, reporter: pytest.TerminalReporter) -> None:
    """Write the table of a test's variants, and what to make of it."""
    content = variants.table(ranking)
    headers, rows = columns.narrowed([content.headers, *content.cells], width_of(reporter), _LEFT_OUT_OF_VARIANTS)
    widths = column_widths([headers, *rows], width_of(reporter), narrowest=len(headers[0]))
    numbers = range(1, len(widths) - 1)
    # a variant's name is there to be read in full: where it has no room, it gets a line of its own above its figures
    has_room = widths[0] >= max(columns_of(cells[0]) for cells in rows)
    if not has_room:
        widths[0] = columns_of(headers[0])
    fastest = ranking.fastest.name if ranking.fastest else ""
    columns.write(reporter, ranking.nodeid, bold=True)
    reporter.write_line(line_of(headers, widths, numbers))
    for name, *facts in rows:
        markup = _markup("kept") if name == fastest else {}
        if not has_room:
            reporter.write_line(name, **markup)
        reporter.write_line(line_of((name if has_room else "", *facts), widths, numbers), **markup)
    for footnote in content.footnotes:
        columns.write(reporter, footnote, indent=2)
    columns.write(reporter, ranking.recommendation(), indent=2)


def _write_simulations(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    if summary.simulations:
        reporter.write_sep("=", "claude latency: simulated worlds")
    for nodeid, simulation in summary.simulations.items():
        columns.write(reporter, nodeid, bold=True)
        for text in simulation.lines():
            columns.write(reporter, text, indent=2)
    if summary.simulations:
        columns.write(reporter, ASSUMPTIONS)
    if summary.what_if:
        reporter.write_sep("=", "claude latency: what if (simulated)")
    for nodeid, what_if in summary.what_if.items():
        columns.write(reporter, nodeid, bold=True)
        cells = [HEADERS, *what_if.cells()]
        # The questions are shortened before the bars are: a bar of a few characters shows nothing.
        widths = column_widths(cells, width_of(reporter) - len(GAP) - _SHORTEST_BAR)
        room = width_of(reporter) - sum(widths) - len(GAP) * len(widths)
        for row, bar in zip(cells, ["", *what_if.bars(min(room, _LONGEST_BAR))], strict=True):
            line = line_of((shorten(printable(row[0]), widths[0]), *row[1:]), widths, range(1, 4))
            reporter.write_line(f"{line}{GAP}{bar}".rstrip())


def _write_explanations(summary: Summary, reporter: pytest.TerminalReporter) -> None:
    from pytest_claude_latency.report.explanation import explanation  # only runs that explain need the rules

    explained = {row.nodeid: lines for row in summary.rows if (lines := explanation(row.samples))}
    if explained:
        reporter.write_sep("-", "where the time went")
    for nodeid, lines in explained.items():
        columns.write(reporter, nodeid)
        for line in lines:
            columns.write(reporter, line, indent=2)


def _markup(verdict: str) -> dict[str, bool]:
    return {_COLOURS[verdict]: True} if verdict in _COLOURS else {}


def _listed(facts: Sequence[str], reporter: pytest.TerminalReporter) -> None:
    """Write facts one after the other, as many in a line as fit: each stays whole, since it is read as one."""
    lines: list[str] = []
    for text in map(printable, facts):
        longer = f"{lines[-1]}, {text}" if lines else ""
        if longer and columns_of(longer) <= width_of(reporter):
            lines[-1] = longer
        else:
            lines.append(f"    {text}")
    for line in lines:
        reporter.write_line(line)
