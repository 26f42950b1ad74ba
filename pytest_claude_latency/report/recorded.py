"""What a run recorded, in the terminal: for each test what was written or why not, and how to replay it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import pytest

from pytest_claude_latency import duration
from pytest_claude_latency.cassettes.changes import size_text
from pytest_claude_latency.metrics.series import by_test
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import columns_of, printable
from pytest_claude_latency.report import columns
from pytest_claude_latency.report.columns import column_widths, line_of
from pytest_claude_latency.results.result import TestResult

_HEADERS = ("recorded", "samples", "calls", "time", "size")
_MOST_SILENT = 3  # a class that inherits a marker may hold many tests without a call
_MOST = 20
"""How many tests are listed without `-v`; those that were not written always are."""


def write(
    results: Collection[TestResult],
    fixtures: Mapping[str, tuple[int, float, int]],
    reporter: pytest.TerminalReporter,
    arguments: Callable[[Iterable[str]], str],
) -> None:
    """Write the section, if the run recorded something or failed to.

    `fixtures` are higher-scoped ones that have a recording of their own, with their calls, seconds and bytes.
    `arguments` makes those of a command of ids.
    """
    written: dict[str, list[TestResult]] = {}
    failed: dict[str, None] = {}  # the samples of a test most often fail for one reason
    silent: list[str] = []
    for nodeid, samples in by_test(results).items():
        # A sample that sent nothing has no recording, and is no failure to write one.
        if kept := [sample for sample in samples if sample.recorded_bytes]:
            written[nodeid] = kept
        elif not any(sample.calls or sample.elapsed is not None or sample.not_recorded for sample in samples):
            silent.append(nodeid)
        failed |= {f"{nodeid}: {sample.not_recorded}": None for sample in samples if sample.not_recorded}
    if not written and not failed and not fixtures:
        return
    reporter.write_sep("=", "claude latency: recordings")
    rows = []
    for nodeid, samples in written.items():
        # what a fault or the recording of the fair run answered is in no recording of the fault's own
        calls = sum(len(sample.calls) + len(sample.setup_calls) - sample.replayed_calls for sample in samples)
        seconds = sum(sample.elapsed or 0.0 for sample in samples)
        rows.append(_row(nodeid, len(samples), calls, seconds, sum(sample.recorded_bytes or 0 for sample in samples)))
    rows += [_row(name, 1, *facts) for name, facts in fixtures.items()]
    if rows and (len(rows) <= _MOST or reporter.verbosity > 0):
        widths = column_widths([_HEADERS, *rows], columns.width_of(reporter))
        for name, *figures in [_HEADERS, *rows]:
            # an id is there to be copied: one that has no room next to its figures gets a line of its own
            has_room = columns_of(name) <= widths[0]
            if not has_room:
                reporter.write_line(name)
            cells = (name if has_room else "", *figures)
            reporter.write_line(line_of(cells, widths, range(1, len(_HEADERS))))
    # never shortened: what was not written will be missed in the next replay
    for text in failed:
        columns.write(reporter, f"not written: {printable(text)}", yellow=True)
    if silent:
        named = ", ".join(silent) if len(silent) <= _MOST_SILENT else number_of(len(silent), "test")
        columns.write(reporter, f"nothing to write: {printable(named)} made no call")
    count = number_of(sum(map(len, written.values())) + len(fixtures), "recording")
    columns.write(reporter, f"{count} written{f', {len(failed)} not' if failed else ''}")
    if rows:
        variants = " --latency-variants" if any(sample.variant for kept in written.values() for sample in kept) else ""
        # A fixture is replayed with the tests that use it, wherever it is defined.
        tests = [result.nodeid for result in results] if fixtures else list(written)
        files = arguments(dict.fromkeys(nodeid.partition("::")[0] for nodeid in tests))
        columns.write(reporter, f"replay them: pytest --latency-budget{variants} {files}")


def _row(name: str, samples: int, calls: int, seconds: float, size: int) -> tuple[str, ...]:
    time = duration.show(duration.nanoseconds(seconds))
    return printable(name), str(samples), str(calls), time, size_text(size)
