"""Terminal sections: what stands below the tests of a run, from files that could not be written to suggestions.

Each section is imported only where the run has something to show in it.
"""

from __future__ import annotations

import os

import pytest

from pytest_claude_latency.report import columns
from pytest_claude_latency.run.reporting.end_of_run import EndOfRun
from pytest_claude_latency.run.reporting.written_files import WrittenFiles
from pytest_claude_latency.run.session import Session


def write_sections(
    session: Session, end: EndOfRun, written: WrittenFiles | None, terminalreporter: pytest.TerminalReporter
) -> None:
    """Write the section of latencies, or the one line that says what was not judged, and all that goes with it."""
    if written is not None:
        for line in written.unwritten:
            columns.write(terminalreporter, line, red=True)
        for line in filter(None, (written.sent, written.saved)):
            columns.write(terminalreporter, line)
    if end.results or session.warnings:
        from pytest_claude_latency.report import terminal

        summary = end.summary()
        terminal.write(summary, terminalreporter)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from pytest_claude_latency.report import github_annotations

            for line in github_annotations.lines(summary, session.config.rootpath):
                terminalreporter.write_line(line)
    for line in end.fault_lines:
        columns.write(terminalreporter, line)
    if session.settings.mode.records and end.results:
        from pytest_claude_latency.report import recorded

        recorded.write(end.results, session.recorded_fixtures, terminalreporter, session.arguments_for)
    if session.settings.suggests and end.results:
        from pytest_claude_latency.report import suggestions

        suggestions.write(end.results_as_written, terminalreporter)
