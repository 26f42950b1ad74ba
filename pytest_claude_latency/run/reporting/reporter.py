"""The hooks of a whole run: one class for the process that shows it, one for a worker of xdist.

Every run of every suite has one of them. As long as a run has no session, it has nothing to say, and nothing is
imported for it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, final

import pytest

from pytest_claude_latency.collection.selection import FAULT_COUNTS, is_marked
from pytest_claude_latency.run.stash_keys import SESSION, SETTLED

if TYPE_CHECKING:
    from pytest_claude_latency.run.reporting.cost_estimate import Progress
    from pytest_claude_latency.run.reporting.end_of_run import EndOfRun
    from pytest_claude_latency.run.reporting.termination import Termination
    from pytest_claude_latency.run.reporting.written_files import WrittenFiles
    from pytest_claude_latency.run.session import Session


@final
class WorkerReporter:
    """The hooks of a worker, whose results travel with test reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._session = config.stash[SESSION]

    # Innermost: xdist sends the output at the end of a wrapper of its own, which is registered earlier.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Any:
        """Leave everything as it was, and send what belongs to no single result."""
        try:
            return (yield)
        finally:
            from pytest_claude_latency.run.reporting.worker_output import output_of
            from pytest_claude_latency.run.session import REPORTED

            # Fixtures of the session are torn down by now.
            self._session.current.close()
            session.config.workeroutput[REPORTED] = output_of(self._session)  # type: ignore[attr-defined]  # xdist's


@final
class _Late:
    """What a run loads when it is needed.

    Apart from the reporter: older versions of pytest ask a plugin for each of its attributes when it is registered.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @cached_property
    def end(self) -> EndOfRun:
        from pytest_claude_latency.run.reporting.end_of_run import EndOfRun

        return EndOfRun(self._config.stash[SESSION])

    @cached_property
    def termination(self) -> Termination:
        from pytest_claude_latency.run.reporting.termination import Termination

        return Termination()


@final
class Reporter:
    """The hooks that collect and show results, on xdist's controller and in a run without workers.

    Raises:
        pytest.UsageError: a baseline that the run is compared with or changes cannot be read.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._late = _Late(config)
        self._is_announced = False
        self._progress: Progress | None = None
        self._written: WrittenFiles | None = None
        if not self._has_nothing_to_say:
            self._late.end.read_baselines()

    @property
    def _has_nothing_to_say(self) -> bool:
        """Whether the run has no session: no latency test, and nothing that the user asks for."""
        return SESSION not in self._config.stash

    @property
    def _session(self) -> Session:
        return self._config.stash[SESSION]

    # ── before the first test ──

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker when the run began, and where samples wait."""
        from datetime import UTC, datetime

        from pytest_claude_latency.run.session import BEGAN, STAGING

        if self._session.settings.mode.records:
            node.workerinput[STAGING] = str(self._session.staging_folder())
        node.workerinput[BEGAN] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Generator[None, Any, Any]:
        """In a run that records, keep a test and its faults on one worker; a scheduler of the user's own stays."""
        scheduler = yield
        if self._session.settings.mode.records and type(scheduler).__module__.startswith("xdist."):
            from pytest_claude_latency.run.reporting.distribution import OF_SINGLE_ITEMS, FaultsBehindTheirTests

            if config.getoption("dist") in OF_SINGLE_ITEMS:
                return FaultsBehindTheirTests(config, log)
        return scheduler

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Say what the run will cost, once: all workers collect the same."""
        self._late.termination.watch()
        if not self._is_announced:
            self._is_announced = True
            for line in _announcement(self._session, ids):
                self._write_line(line)

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> list[str]:
        """Say what the run will cost, and for which percentiles it has too few samples."""
        if self._has_nothing_to_say:
            return []
        from pytest_claude_latency.printable import wrapped

        if any(map(is_marked, items)):
            self._late.termination.watch()
        lines = _announcement(self._session, [item.nodeid for item in items])
        settings = self._session.settings
        if (settings.judged or settings.mode.measures_live) and any(map(is_marked, items)):
            from pytest_claude_latency.collection.sampling import unsettled

            lines += [f"claude latency: {line}" for line in unsettled(items, settings)]
        return [part for line in lines for part in wrapped(line)]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if report.failed and not self._has_nothing_to_say:
            self._late.end.failed.append(report)

    # ── while tests run ──

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a sample that cannot change the verdict on its test. Sequential runs have no workers."""
        if not is_marked(item) or not self._session.settings.is_sequential:
            return
        from pytest_claude_latency.collection.identity import identity_of

        reason = self._late.end.settled(identity_of(item).nodeid)
        if reason is not None:
            item.stash[SETTLED] = True
            raise pytest.skip.Exception(reason, _use_item_location=True)  # the test's line, not this one

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what was measured."""
        if self._has_nothing_to_say:
            return
        from pytest_claude_latency.run.session import RAN_AGAIN, REPORTED

        self._late.end.note(report)
        if line := getattr(report, RAN_AGAIN, None):
            self._write_line(line)
        if self._progress is not None and hasattr(report, REPORTED):
            self._progress.note(self._late.end.results)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker has to say besides its results."""
        from pytest_claude_latency.run.session import REPORTED

        output = getattr(node, "workeroutput", {}).get(REPORTED)  # a worker that crashed sends none
        if output is not None:
            from pytest_claude_latency.run.reporting.worker_output import take_over

            take_over(output, self._session)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """When the last test is done, conclude what all of them say together.

        A failure that is reported here counts for the exit status, JUnit and `--maxfail`; one that is raised in the
        terminal summary would count for none of them.
        """
        if self._has_nothing_to_say:
            return (yield)
        if self._session.settings.mode.measures_live:
            from pytest_claude_latency.run.reporting import cost_estimate
            from pytest_claude_latency.virtual_time.clock import WallClock

            terminal = self._session.config.pluginmanager.get_plugin("terminalreporter")
            if cost_estimate.is_watched(terminal):
                self._progress = cost_estimate.Progress(WallClock(), self._write_line, cost_estimate.EVERY)
        try:
            finished = yield
        except BaseException:  # Ctrl-C, pytest.exit, or as many failures as --maxfail allows
            self._late.end.conclude(session, interrupted=True)
            raise
        self._late.end.conclude(session)
        return finished

    # ── after the last test ──

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Any:
        """Write the reports, after the last fixture is torn down, and leave everything as it was."""
        if self._has_nothing_to_say:
            return (yield)
        try:
            return (yield)
        finally:
            # In this order: what staging warns of belongs into the reports.
            self._late.termination.stop()
            session.exitstatus = self._late.termination.exit_status() or session.exitstatus
            self._session.current.close()
            self._session.close_staging(self._late.end.not_recorded)
            settings = self._session.settings
            if (settings.reports or settings.save or settings.otel) and not session.config.option.collectonly:
                from pytest_claude_latency.run.reporting.written_files import write_files

                self._written = write_files(self._session, self._late.end, session.exitstatus)
                session.exitstatus = self._written.exit_status or session.exitstatus

    # Outermost, since pytest shows the failures in a wrapper of this hook. All other readers have had the reports.
    @pytest.hookimpl(specname="pytest_terminal_summary", wrapper=True, tryfirst=True)
    def pytest_terminal_summary_of_misses(self, terminalreporter: Any) -> Generator[None, Any, Any]:
        """Let misses of one cause tell it once, before pytest shows the failures."""
        # in the order in which pytest shows them, so that the first one tells the cause
        reports = [report for kind in ("error", "failed") for report in terminalreporter.stats.get(kind, ())]
        if reports and not self._has_nothing_to_say and self._late.end.results:
            from pytest_claude_latency.report import misses
            from pytest_claude_latency.run.reporting.verdict_reports import command_that_records

            misses.tell_once(reports, partial(command_that_records, self._session))
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the section, or the one line that says what was not judged."""
        if self._has_nothing_to_say:
            return
        is_counted = FAULT_COUNTS in self._session.config.stash
        if not (self._written or self._late.end.results or self._session.warnings or is_counted):
            return
        from pytest_claude_latency.run.reporting.terminal_sections import write_sections

        write_sections(self._session, self._late.end, self._written, terminalreporter)

    def _write_line(self, line: str) -> None:
        terminal = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:  # `-p no:terminal` takes it away
            from pytest_claude_latency.report import columns

            columns.write_between_tests(terminal, line)


def _announcement(session: Session, nodeids: Sequence[str]) -> list[str]:
    """Return what a run of these items will cost; nothing where it costs nothing or has one sample of each."""
    settings = session.settings
    if (settings.samples or 1) == 1 or not settings.mode.measures_live:
        return []
    from pytest_claude_latency.collection.sampling import identities
    from pytest_claude_latency.run.reporting import cost_estimate

    line = cost_estimate.announcement(list(identities(nodeids)), session.config.rootpath, settings)
    return [] if line is None else [line]
