"""What a run recorded, in the terminal: for each test what was written or why not, and how to replay it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from pytest_claude_latency import duration
from pytest_claude_latency.cassettes.changes import size_text
from pytest_claude_latency.metrics.series import by_test
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.columns import column_widths, line_of, shorten
from pytest_claude_latency.results.result import TestResult

_HEADERS = ("recorded", "samples", "calls", "time", "size")
_MOST = 20
"""How many tests are listed without `-v`; those that were not written always are."""


def write(
    results: Iterable[TestResult], reporter: pytest.TerminalReporter, arguments: Callable[[Iterable[str]], str]
) -> None:
    """Write the section, if the run recorded something or failed to. `arguments` makes those of a command of ids."""
    samples_by_test = by_test(results)
    written: dict[str, list[TestResult]] = {}
    failed: dict[str, None] = {}  # the samples of a test most often fail for one reason
    for nodeid, samples in samples_by_test.items():
        if kept := [sample for sample in samples if sample.recorded_bytes]:
            written[nodeid] = kept
        failed |= {f"{nodeid}: {sample.not_recorded}": None for sample in samples if sample.not_recorded}
    if not written and not failed:
        return
    reporter.write_sep("=", "claude latency: recordings")
    if written and (len(written) <= _MOST or reporter.verbosity > 0):
        rows = [_HEADERS]
        for nodeid, samples in written.items():
            calls = sum(len(sample.calls) + len(sample.setup_calls) for sample in samples)
            time = duration.show(sum(duration.nanoseconds(sample.elapsed or 0.0) for sample in samples))
            size = size_text(sum(sample.recorded_bytes or 0 for sample in samples))
            rows.append((printable(nodeid), str(len(samples)), str(calls), time, size))
        # without the last column: some terminals wrap a line that fills it
        widths = column_widths(rows, max(reporter.config.get_terminal_writer().fullwidth - 1, 40))
        for name, *facts in rows:
            reporter.write_line(line_of((shorten(name, widths[0]), *facts), widths, range(1, len(_HEADERS))))
    # never shortened: what was not written will be missed in the next replay
    for text in failed:
        reporter.write_line(printable(f"not written: {text}"), yellow=True)
    count = number_of(sum(map(len, written.values())), "recording")
    reporter.write_line(f"{count} written{f', {len(failed)} not' if failed else ''}")
    if written:
        variants = " --latency-variants" if any(sample.variant for kept in written.values() for sample in kept) else ""
        files = arguments(dict.fromkeys(nodeid.partition("::")[0] for nodeid in written))
        reporter.write_line(f"replay them: pytest --latency-budget{variants} {files}")
