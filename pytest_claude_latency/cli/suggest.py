"""`claude-latency suggest`: budgets to start from, made of the JSON report of a run, or of a baseline."""

from __future__ import annotations

import argparse
from typing import Any

from pytest_claude_latency.baselines.measured_file import load
from pytest_claude_latency.baselines.reported_limits import limits_in
from pytest_claude_latency.cli.baselines import BASELINE_HELP, given
from pytest_claude_latency.cli.output import say
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.report import suggestions
from pytest_claude_latency.results.budget_suggestion import suggest


def declare(commands: Any) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "suggest",
        help="propose budgets from what was measured",
        description="Propose a budget for each test in the JSON report of a run, as markers to paste: the worst sample "
        "and 25 % more, at least 50ms more, rounded up to two digits. Exit status 1 if there is none to propose.",
    )
    parser.add_argument("report", metavar="REPORT", help=f"the JSON report of a run, or {BASELINE_HELP}")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print a marker for each test in the file.

    Raises:
        LatencyError: the file cannot be read, is neither a report nor a baseline, or holds no test.
    """
    file = given(chosen.report)
    measured = load(file)
    # a test that was left out is named below; a file without any test was made without latency tests
    if not measured.series and not measured.left_out:
        raise LatencyError(f"{file} holds no test: run latency tests with --latency-report={file.name}")
    proposed = suggest(measured.series, limits_in(file), measured.left_out)
    say(*suggestions.lines(proposed))
    return 0 if proposed.suggestions else 1
