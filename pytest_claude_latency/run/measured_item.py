"""The phases of one latency test, from before its first fixture is set up until after its last is torn down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import final

import pytest

from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.collection.markers import place_of
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.errors import BudgetExceeded
from pytest_claude_latency.measurement import unmeasured_calls
from pytest_claude_latency.measurement.latency import Latency, judge_outputs
from pytest_claude_latency.measurement.sources import CassetteSource
from pytest_claude_latency.results.ab_pairs import ABSample
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.run import item_checks, item_result, messages
from pytest_claude_latency.run.item_body import ItemBody
from pytest_claude_latency.run.item_outcome import ItemOutcome
from pytest_claude_latency.run.latency_test import LatencyTest
from pytest_claude_latency.run.session import Failure, Session
from pytest_claude_latency.run.worlds.simulated_test import SimulatedTest, ask, stands_for_all
from pytest_claude_latency.run.worlds.world_runs import WorldRuns
from pytest_claude_latency.settings import Mode


@final
class MeasuredItem:
    """A pytest item that runs as a latency test.

    Raises:
        LatencyError: a marker or the recording is not understood, or interception is not live.
    """

    def __init__(self, session: Session, item: pytest.Item) -> None:
        self._test = LatencyTest.of(session, item)
        self._outcome = ItemOutcome(self._test)
        self._body = ItemBody(item, self._test.measurement)
        self._began = datetime.now(UTC)
        # Now, so that a test that cannot be simulated says so before it runs.
        settings, has_worlds = session.settings, stands_for_all(self._test)
        self._simulated = (
            SimulatedTest(self._test, settings.simulate, settings.seed) if has_worlds and settings.simulate else None
        )
        self.worlds = WorldRuns(self._test) if has_worlds else None
        """Runs the test in its other worlds; `None` where it has none."""
        if self._test.replayed is None and self._test.identity.is_fair and (settings.simulate or settings.what_if):
            self._outcome.not_simulated = messages.NOTHING_TO_SIMULATE
        self.latency = Latency(self._test.measurement, self._test.evidence, self._test.related_traces)

    @classmethod
    def begun(cls, session: Session, item: pytest.Item) -> MeasuredItem:
        """Return an item that is about to be set up. Its world has begun."""
        __tracebackhide__ = True
        # Only what a user can mend fails without a traceback. The world begins when nothing can fail any more: one that
        # is never ended would hold the clock of the tests that follow.
        with session.failing():
            measured = cls(session, item)
        session.current.begin(measured._test.measurement)
        return measured

    @contextmanager
    def setting_up(self) -> Iterator[None]:
        """Surround the set-up of the test's fixtures."""
        __tracebackhide__ = True
        with self._test.measurement.misses.failing():
            yield
        # Only now, since it looks for the client that a fixture made.
        self._body.prepare()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Surround pytest's call phase. What it measured is judged, unless a `TestCase` failed or skipped in it."""
        __tracebackhide__ = True
        with self._body.running():
            yield
        if not self._body.failed and (failure := unmeasured_calls.failure_of(self._test.measurement)):
            raise Failure(failure)
        if self._body.failed:
            return
        if unmet := item_checks.unmet_fault(self._test):
            # as for a recording: an error of a marker, and of the option no more than that it does not apply
            fault = self._test.identity.fault
            raise pytest.skip.Exception(unmet) if fault is not None and fault.option else Failure(unmet)
        judgements, failures = self._outcome.judgements, []
        try:
            judge_outputs(self.latency)
        except BudgetExceeded as error:  # without the traceback: nothing of the test is on the stack any more
            failures.append(str(error))
        if self._test.is_judged:
            judgements = item_checks.judgements_of(self._test)
            failures += filter(None, [item_checks.budget_failure(self._test, judgements)])
            if any(limit.metric == "connection" for limit in self._test.budget.plain_limits):
                # the limit was judged by a recording that does not tell what it is about
                failures += filter(None, [item_checks.separate_clients(self._test)])
        self._outcome.judge(judgements, "\n\n".join(failures) or None)

    @contextmanager
    def tearing_down(self) -> Iterator[None]:
        """Surround the teardown of the test's fixtures. Then its world ends, and what was recorded is kept.

        A recording that could not be written fails the teardown.
        """
        __tracebackhide__ = True
        try:
            with self._test.measurement.misses.failing():
                yield
        except BaseException as error:
            # The report of the teardown is made after this, too late to keep a recording from being written.
            self._outcome.note_teardown(error)
            raise
        finally:
            self._finish()

    def run_worlds(self) -> None:
        """Run the test in its simulated worlds, after its own teardown."""
        if self.worlds is None:
            return
        if self._outcome.is_incomplete:
            self._outcome.not_simulated = messages.NOT_SIMULATED
            return
        if self._test.settings.what_if:
            self._outcome.what_if = ask(self._test, self.worlds)
        if self._simulated is not None:
            self._outcome.simulation = self._simulated.run(self.worlds)

    def note(self, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None) -> None:
        """Learn how a phase ended."""
        self._outcome.note(report, excinfo)

    def result(self) -> TestResult:
        """Return what was measured, for the reports of the run."""
        return item_result.result_of(self._outcome, self.latency)

    @property
    def lacks_answers(self) -> bool:
        """Whether the program asked for what no recording fits."""
        source = self._test.measurement.source
        return isinstance(source, CassetteSource) and source.lacks_answers

    @property
    def ran_for(self) -> Nanoseconds:
        """How long it ran, on its own clock."""
        return self._test.measurement.now()

    def _finish(self) -> None:
        __tracebackhide__ = True
        test, outcome = self._test, self._outcome
        measurement, session = test.measurement, test.session
        # The world ends first, so that nothing below happens in virtual time.
        self._body.restore()
        session.current.end(measurement)
        if measurement.unseen.children.is_child:
            return  # a child that left the test by its end instead of exiting: files are its parent's business
        item_result.add_properties(test.item, measurement, simulated=test.is_simulated)
        for warning in item_checks.answers_to_change(test, is_over=not outcome.is_incomplete):
            outcome.warn(warning)
        if not outcome.is_incomplete:
            limited = any(limit.metric == "connection" for limit in test.budget.plain_limits)
            texts = (item_checks.unused_exchanges(test), None if limited else item_checks.separate_clients(test))
            for text in filter(None, texts):
                if test.settings.strict:
                    raise Failure(messages.failing_strictly(text))
                outcome.warn(text)
        if mixed := item_checks.mixed_set(test):
            outcome.warn(mixed)
        if measurement.answered_elsewhere:
            outcome.warn(messages.answered_elsewhere(measurement.answered_elsewhere))
        elif unseen := item_checks.nothing_was_seen(test):
            outcome.warn(unseen)
        if test.settings.mode.records and not measurement.replays:
            self._keep_recording()
        elif test.own_file is not None and test.settings.mode is Mode.RECORD and not outcome.is_incomplete:
            test.own_file.save([])  # with its fault the test asks for nothing else any more
        # Last, since it sends requests of its own: nothing of them may count for the test or be recorded.
        if test.settings.ab and not outcome.is_incomplete and test.identity.variant is None:
            outcome.note_pairs(_pairs_of(test))

    def _keep_recording(self) -> None:
        """Write what was recorded, and note that, or why it is not written."""
        __tracebackhide__ = True
        test, outcome, log = self._test, self._outcome, self._test.measurement.log
        outcome.not_recorded = outcome.why_not_recorded
        if outcome.not_recorded:
            test.session.not_recorded.add(test.identity.nodeid)
        else:
            # what a recording or a fault answered is no part of another recording
            exchanges = [exchange for exchange in log.exchanges if exchange.recorded is None]
            outcome.not_recorded = "see the error of its teardown"  # until it is written
            if lost := test.file.lost_by(exchanges, item_checks.loaded_mocks()):
                outcome.warn(lost)
            with test.session.failing():
                outcome.recorded_bytes = test.file.keep(exchanges, self._began, log.clients, test.measurement.holds())
            outcome.not_recorded = ""
            if unsure := item_checks.hangs_on_speed(test):
                outcome.warn(unsure)


def _pairs_of(test: LatencyTest) -> ABSample:
    """Measure the recorded requests of a test and its current ones alternately."""
    from pytest_claude_latency.ab.runner import measure_pairs

    file, test_id = place_of(test.item, test.identity.nodeid)
    return measure_pairs(
        test.measurement,
        path_of(file, test.settings.cassettes, test_id, sample=1),
        test.marker.rules,
        root=test.session.config.rootpath,
        redact=test.settings.redact,
        during=test.session.current.during,
    )
