"""The end of a run: results come in with test reports, and go out to the terminal and to files."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, final

import pytest

from pytest_claude_latency.collection.selection import is_marked
from pytest_claude_latency.errors import FileError, LatencyError
from pytest_claude_latency.run.session import OVER_BUDGET, REPORTED, STAGED, Session
from pytest_claude_latency.virtual_time.clock import WallClock

if TYPE_CHECKING:
    from pytest_claude_latency.report.summary import Summary
    from pytest_claude_latency.run.cost_estimate import Progress


@final
class Reporter:
    """The hooks that collect and show results, on the controller and in a run without workers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unwritten: list[str] = []
        self._announced = False
        self._progress: Progress | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker when the run began."""
        settings = self._session.settings
        if settings.mode.records:
            node.workerinput[STAGED] = str(self._session.staging_folder())
        node.workerinput[REPORTED] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker has to say beside its results."""
        said = getattr(node, "workeroutput", {}).get(REPORTED, {"warnings": [], "collected": None})
        self._session.warnings += said["warnings"]
        if self._session.collected is not None and said["collected"] is not None:
            self._session.collected.join(said["collected"])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Say what the run will cost, once: all workers collect the same."""
        if not self._announced:
            self._announced = True
            for line in self._session.announcement(ids):
                self._write_line(line)

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> list[str]:
        """Say what the run will cost, and what it cannot settle."""
        lines = self._session.announcement([item.nodeid for item in items])
        if self._session.judges_percentiles and any(map(is_marked, items)):
            from pytest_claude_latency.collection.sampling import unsettled

            lines += [f"claude latency: {line}" for line in unsettled(items, self._session.settings)]
        return lines

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what was measured."""
        plain = getattr(report, REPORTED, None)
        if plain is not None:
            self._session.collect(plain, report)
            if self._progress is not None:
                self._progress.note(self._session.results)
        outcome: str = report.outcome  # plugins have outcomes of their own
        if outcome == "rerun" and hasattr(report, OVER_BUDGET):
            self._session.measured_again.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """When the last test is done, conclude what all of them say together."""
        self._progress = self._new_progress()
        try:
            finished = yield
        except BaseException:
            self._session.conclude(session, interrupted=True)
            raise
        self._session.conclude(session)
        return finished

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Any:
        """Write the reports, after the last fixture is torn down, and leave everything as it was."""
        try:
            return (yield)
        finally:
            self._session.close()
            self._close_staging()
            if self._session.worker:
                session.config.workeroutput[REPORTED] = self._session.said()  # type: ignore[attr-defined]  # xdist's
            elif not session.config.option.collectonly:
                session.exitstatus = self._write() or session.exitstatus

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the section, or the one line that says what was not judged."""
        for line in self._unwritten:
            terminalreporter.write_line(line, red=True)
        if self._session.saved:
            terminalreporter.write_line(self._session.saved)
        if self._session.results or self._session.warnings:
            from pytest_claude_latency.report import terminal

            terminal.write(self._summary(), terminalreporter)
        if self._session.settings.suggests and self._session.results:
            from pytest_claude_latency.report import suggestions

            suggestions.write(self._session.as_written(), terminalreporter)

    def _close_staging(self) -> None:
        if not self._session.worker:
            self._session.close_staging()

    def _new_progress(self) -> Progress | None:
        """The progress line of a long live run, where someone is watching."""
        settings = self._session.settings
        terminal = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if self._session.worker or not (settings.samples or 1) > 1 or not settings.mode.measures_live:
            return None
        watched = getattr(terminal, "isatty", False)
        if not (watched() if callable(watched) else watched):  # a method or not, by pytest's version
            return None
        from pytest_claude_latency.run import cost_estimate

        return cost_estimate.Progress(WallClock(), self._write_line, cost_estimate.EVERY)

    def _write_line(self, line: str) -> None:
        terminal = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(line)

    def _write(self) -> int:
        """Write what the run was asked to leave behind; the exit status where that failed, else 0."""
        for form, path in self._session.settings.reports:
            from pytest_claude_latency.report import formats

            try:
                formats.write(self._summary(), form, path)
            except OSError as error:
                self._unwritten.append(f"--latency-report: cannot write {path}: {error.strerror or error}")
        written = not self._unwritten
        try:
            self._session.keep_baseline()
        except FileError as error:
            self._unwritten.append(f"--latency-save: {error.seen_from(self._session.config.rootpath)}")
            written = False
        except LatencyError as error:
            self._unwritten.append(f"--latency-save: {error}")
        if not written:
            return pytest.ExitCode.INTERNAL_ERROR
        return pytest.ExitCode.TESTS_FAILED if self._unwritten else pytest.ExitCode.OK

    def _summary(self) -> Summary:
        from pytest_claude_latency.report.summary import Run, summarize

        settings = self._session.settings
        run = Run(
            mode=str(settings.mode),
            clock=str(settings.clock),
            judged=settings.judged,
            explained=settings.explained,
            verdicts=self._session.run_verdicts,
            warnings=tuple(dict.fromkeys([*self._warnings(), *self._session.warnings])),
            rules=settings.rules,
        )
        return summarize(self._session.results.values(), run)

    def _warnings(self) -> list[str]:
        """What makes live numbers misleading."""
        config, mode = self._session.config, self._session.settings.mode
        said = []
        if mode.measures_live and config.getoption("dist", "no") != "no":
            said.append(f"mode {mode} under -n: workers load each other, so times are longer than a user's; use -n 0")
        if mode.measures_live and (again := dict.fromkeys(self._session.measured_again)):
            said.append(f"reruns measured broken budgets again, which chance may have let pass: {', '.join(again)}")
        return said
