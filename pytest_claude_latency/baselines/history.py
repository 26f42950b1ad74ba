"""The run's baselines: the one it is compared with, and the one it becomes.

Both are read before any test runs, since a live run costs money and must not end in a file that cannot be read. The
new one is written once, when all tests and verdicts are known.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from pytest_claude_latency.baselines.baseline import Baseline, old_file
from pytest_claude_latency.cassettes.recording import timestamp
from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.metrics.series import by_test, series_of
from pytest_claude_latency.results.result import TestResult

_PASSED = ("passed", "xpassed")


@dataclass(frozen=True, slots=True)
class Difference:
    """A run compared with its baseline, by node ids.

    `new` are tests that the baseline lacks; `other_kind` are tests that were measured in another way then, each with
    both ways in words.
    """

    comparisons: tuple[Comparison, ...]
    new: tuple[str, ...]
    other_kind: tuple[tuple[str, str], ...]


@final
class RunBaselines:
    """The baselines of one run, read at once; a file that does not exist yet is none.

    Raises:
        BaselineError: one of the files exists and cannot be read.
    """

    def __init__(self, compared: Path | None, saved: Path | None, rules: Rules | None) -> None:
        self.compared = compared
        self.saved = saved
        self._rules = rules
        # a run cannot be compared with a baseline that is only found in the old form, so loading it raises; but it can
        # save the baseline again, so there the old file is not looked at
        is_there = compared is not None and (compared.exists() or old_file(compared) is not None)
        self._before = Baseline.load(compared) if compared is not None and is_there else None
        self._saved_before = Baseline.load(saved) if saved is not None and saved.exists() else None
        self.compared_tests = tuple(self._before.entries) if self._before else ()
        """The tests of the baseline that the run is compared with."""
        self.saved_tests = tuple(self._saved_before.entries) if self._saved_before else ()
        """The tests of the baseline that the run becomes."""

    @property
    def is_new(self) -> bool:
        """Whether the baseline that the run is to be compared with does not exist yet."""
        return self.compared is not None and self._before is None

    def differences(self, results: Iterable[TestResult]) -> Difference:
        """Compare the run with its baseline. Only tests whose every sample ran and passed are compared."""
        # a test that failed, or of which samples are missing, measured something else than what is in the baseline
        before, now = (self._before or Baseline()).series, series_of(complete(results))
        other_kind = [
            (nodeid, f"was {before[nodeid].kind} then and {now[nodeid].kind} now")
            for nodeid in sorted(now.keys() & before.keys())
            if before[nodeid].kind != now[nodeid].kind
        ]
        comparable = {nodeid: series for nodeid, series in now.items() if nodeid not in dict(other_kind)}
        new = tuple(sorted(now.keys() - before.keys()))
        return Difference(compare(before, comparable, self._rules), new, tuple(other_kind))

    def save(self, results: Sequence[TestResult], missing: Iterable[str], root: Path) -> int:
        """Save the run, and return how many tests were saved. Tests that it did not run in full stay as they were.

        Raises:
            LatencyError: a test failed, was measured in another way before, or the file could not be written.
        """
        if self.saved is None:
            return 0
        # failed tests are handed on, so that `Baseline.of` refuses the run and names them
        failed = [result for result in results if result.outcome in ("failed", "error")]
        run = Baseline.of([*complete(results), *failed], saved=timestamp(datetime.now(UTC)), commit=commit_of(root))
        # a run in which every test was skipped leaves the file as it is
        if run.entries:
            (self._saved_before or Baseline()).updated(run, missing).save(self.saved)
        return len(run.entries)


def complete(results: Iterable[TestResult]) -> list[TestResult]:
    """Return the results of tests whose every sample ran and passed, all measured in the same way."""
    complete_results: list[TestResult] = []
    for samples in by_test(results).values():
        # under `record-missing` some samples may be replayed and others recorded
        ways = {(sample.mode, sample.clock) for sample in samples}
        all_passed = all(sample.outcome in _PASSED for sample in samples)
        if all_passed and len(samples) == samples[0].sample_count and len(ways) == 1:
            complete_results += samples
    return complete_results


def commit_of(root: Path) -> str | None:
    """Return the commit that is checked out there, with `-dirty` if files changed; None without git or a commit."""
    # every tag is excluded, so that git describes the commit by its hash
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None if run.returncode == 0 else None
