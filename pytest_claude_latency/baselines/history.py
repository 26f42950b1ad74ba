"""History: the baseline a run is compared with, and the one it becomes.

What cannot be read is said before any test runs, since a live run costs; what
is written is written once, when all tests and verdicts are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from pytest_claude_latency.baselines.baseline import Baseline, commit_of
from pytest_claude_latency.cassettes.recording import timestamp
from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.metrics.series import Series, by_test, series_of
from pytest_claude_latency.results.result import TestResult

_PASSED = ("passed", "xpassed")


@dataclass(frozen=True, slots=True)
class Difference:
    """A run beside its baseline, by node ids.

    `new` are tests that the baseline lacks, `other_kind` those that were measured in another way then, with both
    ways in words.
    """

    comparisons: tuple[Comparison, ...]
    new: tuple[str, ...]
    other_kind: tuple[tuple[str, str], ...]


@final
class History:
    """The baselines of one run; what there is of them is read at once.

    Raises:
        BaselineError: one of them is there and cannot be read.
    """

    def __init__(self, compared: Path | None, saved: Path | None, rules: Rules | None) -> None:
        self.compared = compared
        self.saved = saved
        self._rules = rules
        self._before = _there(compared)
        self._kept = _there(saved)

    @property
    def is_new(self) -> bool:
        """Whether there is nothing yet to compare the run with."""
        return self.compared is not None and self._before is None

    @property
    def known(self) -> tuple[str, ...]:
        """The tests of the baseline the run is compared with."""
        return tuple(self._before.entries) if self._before else ()

    @property
    def kept(self) -> tuple[str, ...]:
        """The tests of the baseline the run becomes."""
        return tuple(self._kept.entries) if self._kept else ()

    def differences(self, results: Iterable[TestResult]) -> Difference:
        """How the run differs from its baseline. Only tests whose every sample ran and passed are compared."""
        before, now = (self._before or Baseline()).series, series_of(whole(results))
        other = {
            nodeid: now[nodeid] for nodeid in now.keys() & before.keys() if before[nodeid].kind != now[nodeid].kind
        }
        same = {nodeid: series for nodeid, series in now.items() if nodeid not in other}
        ways = tuple((nodeid, _ways(before[nodeid], series)) for nodeid, series in sorted(other.items()))
        return Difference(compare(before, same, self._rules), tuple(sorted(now.keys() - before.keys())), ways)

    def save(self, results: Sequence[TestResult], gone: Iterable[str], root: Path) -> int:
        """Keep the run; how many of its tests are kept. Tests that it did not run whole stay as they were.

        Raises:
            LatencyError: a test failed, was measured in another way before, or the file could not be written.
        """
        if self.saved is None:
            return 0
        passed, failed = whole(results), [result for result in results if result.outcome in ("failed", "error")]
        run = Baseline.of([*passed, *failed], saved=timestamp(datetime.now(UTC)), commit=commit_of(root))
        if run.entries:
            (self._kept or Baseline()).updated(run, gone).save(self.saved)
        return len(run.entries)


def whole(results: Iterable[TestResult]) -> list[TestResult]:
    """The results of tests whose every sample ran and passed, all in the same way."""
    found: list[TestResult] = []
    for samples in by_test(results).values():
        ways = {(sample.mode, sample.clock) for sample in samples}
        if (
            len(samples) == samples[0].sample_count
            and len(ways) == 1
            and all(each.outcome in _PASSED for each in samples)
        ):
            found += samples
    return found


def _there(path: Path | None) -> Baseline | None:
    return Baseline.load(path) if path is not None and path.exists() else None


def _ways(before: Series, now: Series) -> str:
    return f"was {before.kind} then and {now.kind} now"
