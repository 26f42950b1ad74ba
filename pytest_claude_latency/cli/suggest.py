"""What `claude-latency suggest` does: budgets to start from, made of the JSON report of a run, or of a baseline."""

from __future__ import annotations

from pytest_claude_latency.baselines.measured_file import load
from pytest_claude_latency.baselines.reported_limits import limits_in
from pytest_claude_latency.cli.baselines import path_of
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.report import suggestions
from pytest_claude_latency.results.budget_suggestion import suggest


def show(text: str) -> int:
    """Print a marker for each test in the file; the exit status, which is 1 where there is none to propose.

    Raises:
        LatencyError: the file cannot be read, is none of a run, or holds no test.
    """
    file = path_of(text)
    measured = load(file)
    if not measured.series and not measured.left_out:
        raise LatencyError(f"{file} holds no test: run latency tests with --latency-report={file.name}")
    made = suggest(measured.series, limits_in(file), measured.left_out)
    print(*suggestions.lines(made), sep="\n")
    return 0 if made.found else 1
