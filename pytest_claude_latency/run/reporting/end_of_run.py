"""The end of a run: the results of all its tests, and what only all of them together can say.

Only the process that shows the run has one: xdist's controller, or the one process of a run without workers. Results
reach it through test reports in both cases, so that a run under xdist shows what a run without it shows.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, final

import pytest

from pytest_claude_latency.collection.selection import FAULT_COUNTS
from pytest_claude_latency.errors import FileError, LatencyError, as_usage_error
from pytest_claude_latency.run.session import OVER_BUDGET, REPORTED, Session

if TYPE_CHECKING:
    from pytest_claude_latency.baselines.history import RunBaselines
    from pytest_claude_latency.report.summary import Summary
    from pytest_claude_latency.results.result import TestResult
    from pytest_claude_latency.results.verdict import RunVerdict
    from pytest_claude_latency.run.reporting.verdict_reports import Ran


@final
class EndOfRun:
    """The results of a run, the verdicts on all samples of its tests, and the baseline it becomes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._results: dict[tuple[str, int], TestResult] = {}
        self._ran: dict[str, Ran] = {}
        self.ended_at: dict[tuple[str, int], float] = {}
        """When each sample of each test ended, in seconds since 1970, by the machine's clock."""
        self._reruns_over_budget: dict[str, None] = {}
        self.failed: list[pytest.TestReport | pytest.CollectReport] = []
        """What pytest reported as failed."""
        self._run_verdicts: tuple[RunVerdict, ...] = ()
        self._baselines: RunBaselines | None = None

    def read_baselines(self) -> None:
        """Read the baselines before any test runs: a live run costs, and must not end with "cannot read the baseline".

        Raises:
            pytest.UsageError: a baseline that the run is compared with or changes cannot be read.
        """
        settings = self._session.settings
        if settings.uses_baselines:
            from pytest_claude_latency.baselines.history import RunBaselines

            try:
                self._baselines = RunBaselines(settings.compare, settings.save, settings.rules)
            except FileError as error:
                raise pytest.UsageError(as_usage_error(error.seen_from(self._session.config.rootpath))) from None

    @property
    def results(self) -> Collection[TestResult]:
        """The results so far, in the order the samples ended."""
        return self._results.values()

    @property
    def results_as_written(self) -> list[TestResult]:
        """The results without those of variants and faults, which baselines and percentiles leave out."""
        return [result for result in self._results.values() if not result.variant and not result.fault]

    @property
    def _fair_results(self) -> list[TestResult]:
        """The results that may be compared and kept: those of tests as they are written, on answers of the API."""
        return [result for result in self.results_as_written if not result.simulated]

    def note(self, report: pytest.TestReport) -> None:
        """Take a result out of a test report. A rerun replaces what the first run measured."""
        if report.failed:
            self.failed.append(report)
        outcome: str = report.outcome  # plugins have outcomes of their own: "rerun" is pytest-rerunfailures'
        if outcome == "rerun" and hasattr(report, OVER_BUDGET):
            self._reruns_over_budget[report.nodeid] = None
        if (values := getattr(report, REPORTED, None)) is None:
            return
        from pytest_claude_latency.results.result import TestResult
        from pytest_claude_latency.run.reporting.verdict_reports import Ran, key_of

        result = TestResult.from_dict(values)
        self._results[result.nodeid, result.sample] = result
        self.ended_at[result.nodeid, result.sample] = report.start  # the teardown's, which carries the result
        # A dict keeps the order in which samples ended, and a rerun does not enter a sample twice.
        self._ran.setdefault(result.nodeid, Ran(report.location, {})).items[key_of(report)] = None

    @property
    def not_recorded(self) -> list[str]:
        """The tests of which a sample was to be recorded and was not."""
        return [result.nodeid for result in self._results.values() if result.not_recorded]

    def settled(self, nodeid: str) -> str | None:
        """Return why no further sample of a test is needed; `None` if one is."""
        from pytest_claude_latency.results import verdict

        if not self._session.settings.is_sequential:
            return None
        samples = [result for (test, _), result in self._results.items() if test == nodeid]
        return verdict.settled(samples, most=self._session.settings.samples)

    def conclude(self, pytest_session: pytest.Session, *, interrupted: bool = False) -> None:
        """Reach the verdicts that need all samples of a test, and report those that fail the run.

        Of a run that was interrupted, each says that it was not judged.
        """
        # Most runs stop here, and import nothing more.
        settings, baselines = self._session.settings, self._baselines
        is_compared = baselines is not None and baselines.compared is not None
        if not (settings.ab or is_compared or any(result.percentiles for result in self.results)):
            return
        from pytest_claude_latency.results import verdict
        from pytest_claude_latency.run import messages
        from pytest_claude_latency.run.reporting import verdict_reports

        results, strict = self.results_as_written, settings.strict
        most = settings.samples if settings.is_sequential else None
        run_verdicts = verdict.on_percentiles(results, judged=settings.judged, strict=strict, most=most)
        simulations = {result.nodeid: result.simulation for result in results if result.simulation is not None}
        if simulations:
            from pytest_claude_latency.results.simulated_verdicts import decided_by

            run_verdicts = [decided_by(run_verdict, simulations) for run_verdict in run_verdicts]
        if baselines is not None and baselines.compared is not None:
            from pytest_claude_latency.baselines import verdicts as baseline_verdicts

            live = [result.nodeid for result in results if result.mode == "live"]
            name, missing = baselines.compared.stem, _missing_tests(self._session, baselines.compared_tests)
            run_verdicts += baseline_verdicts.on_baseline(
                baselines.differences(self._fair_results), name, live=live, strict=strict
            )
            for warning in baseline_verdicts.warnings_on(missing, name, is_new=baselines.is_new):
                self._session.warn(warning)
        if settings.ab:
            from pytest_claude_latency.ab import verdicts as ab_verdicts

            run_verdicts += ab_verdicts.on_pairs(results, settings.rules, strict=strict)
        if interrupted:
            self._run_verdicts = tuple(run_verdict.not_judged(messages.INTERRUPTED) for run_verdict in run_verdicts)
        else:
            explained = [verdict_reports.explained(verdict, self.results, self._session) for verdict in run_verdicts]
            self._run_verdicts = tuple(verdict_reports.fail(explained, pytest_session, self._ran))

    def keep_baseline(self) -> str | None:
        """Save what the run measured as a baseline, and return what to say of it; `None` where that was not asked.

        Raises:
            LatencyError: the run failed, or the file cannot be written. The old baseline is still there.
        """
        if self._baselines is None or self._baselines.saved is None:
            return None
        from pytest_claude_latency.run import messages

        # A baseline stands for a good run. One of a failed run would make the next failure look like no change.
        if failed := [verdict for verdict in self._run_verdicts if verdict.fails]:
            raise LatencyError(messages.baseline_not_saved(failed[0].name))
        missing, root = _missing_tests(self._session, self._baselines.saved_tests), self._session.config.rootpath
        count = self._baselines.save(self._fair_results, missing, root)
        return messages.baseline_saved(count, self._baselines.saved.stem)

    @property
    def fault_lines(self) -> list[str]:
        """Which faults of the option tests did not survive, and what did not run."""
        counts = self._session.config.stash.get(FAULT_COUNTS, None)
        if counts is None:
            return []
        from pytest_claude_latency.run.reporting import faults

        return faults.of_run(self._session.settings, counts, self.results)

    def summary(self, exit_status: int = pytest.ExitCode.OK) -> Summary:
        """Return what reports show of the run, which ends with this exit status."""
        from pytest_claude_latency.report.summary import Run, summarize
        from pytest_claude_latency.run.reporting.other_failures import besides

        settings = self._session.settings
        # the items and the names of verdicts whose failure the results and verdicts tell
        failing = {result.nodeid for result in self._results.values() if result.fails}
        told = {key for nodeid, ran in self._ran.items() if nodeid in failing for key in ran.items}
        told |= {verdict.name for verdict in self._run_verdicts if verdict.fails}
        warnings = _of_live_runs(self._session, self._reruns_over_budget)
        run = Run(
            mode=str(settings.mode),
            clock=str(settings.clock),
            judged=settings.judged,
            explained=settings.explained,
            verdicts=self._run_verdicts,
            # Several workers may warn of the same thing.
            warnings=tuple(dict.fromkeys([*warnings, *self._session.warnings])),
            rules=settings.rules,
            faults=tuple(self.fault_lines),
            also_failed=besides(told, self.failed, exit_status),
        )
        return summarize(self._results.values(), run)


def _of_live_runs(session: Session, reruns: Collection[str]) -> list[str]:
    """Return the warnings about how a live run was made; `reruns` are the tests that another run made keep a budget."""
    from pytest_claude_latency.run import messages

    warnings, mode = [], session.settings.mode
    if mode.measures_live and session.config.getoption("dist", "no") != "no":
        warnings.append(messages.live_under_workers(mode))
    if mode.measures_live and reruns:
        warnings.append(messages.reruns_over_budget(list(reruns)))
    return warnings


def _missing_tests(session: Session, nodeids: Collection[str]) -> list[str]:
    """Return which tests of a baseline no longer exist, as far as this run looked for them."""
    collected = session.collected_tests
    return [] if collected is None else collected.missing_of(nodeids, session.config)
