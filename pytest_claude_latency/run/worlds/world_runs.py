"""Runs of one test in other worlds: again inside its item, with a recording that has other times.

Function-scoped fixtures are made anew for each world, wider ones are shared. pytest sees one item: the phases of a
world go through the hooks of all plugins, and make no reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, final

import pytest

from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.cassettes.header_dates import on_the_calendar
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.collection.item_clone import clone
from pytest_claude_latency.duration import Nanoseconds, nanoseconds
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.latency import Latency
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.whole_test import readings
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.run import item_checks
from pytest_claude_latency.run.item_body import ItemBody
from pytest_claude_latency.run.latency_test import LatencyTest
from pytest_claude_latency.run.stash_keys import IN_WORLD, MEASURED_ITEM
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.scheduling.errors import Deadlock

Ending: TypeAlias = Literal["passed", "failed", "missed", "deadlock", "error"]


@dataclass(frozen=True)
class WorldRun:
    """How a test ended in one world, and what was measured there."""

    ending: Ending
    sample: Sample
    judgements: tuple[Judgement, ...] = ()
    first_token: Nanoseconds | None = None
    """None where the run asks no what-if question."""


@final
class WorldItem:
    """An item that runs in one world. It stands in the place of the measured item while that lasts."""

    def __init__(self, test: LatencyTest, recording: Recording) -> None:
        recording, date = on_the_calendar(recording, None)
        source = test.file.source(recording, test.marker.rules)
        root = test.session.config.rootpath
        measurement = Measurement(test.item.nodeid, VirtualClock(), source, date, is_fair=False, root=root)
        measurement.prices = test.measurement.prices
        self.test = replace(test, measurement=measurement, replayed=recording)
        self.latency = Latency(measurement)
        self._body = ItemBody(test.item, measurement)

    def begin(self) -> None:
        """Let the world begin."""
        self.test.session.current.begin(self.test.measurement)

    @contextmanager
    def setting_up(self) -> Iterator[None]:
        """Surround the set-up of the test's fixtures."""
        with self.test.measurement.misses.failing():
            yield
        self._body.prepare()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Surround pytest's call phase."""
        with self._body.running():
            yield
        if self._body.failed:  # a `TestCase` keeps its failure
            raise AssertionError

    @contextmanager
    def tearing_down(self) -> Iterator[None]:
        """Surround the teardown of the test's fixtures. Then its world ends."""
        try:
            with self.test.measurement.misses.failing():
                yield
        finally:
            self._body.restore()
            self.test.session.current.end(self.test.measurement)

    def note(self, report: pytest.TestReport, excinfo: Any) -> None:
        """Learn nothing: a world makes no reports."""

    @property
    def worlds(self) -> None:
        """None: a world has no worlds of its own."""

    def run_worlds(self) -> None:
        """Run nothing."""

    def result(self) -> TestResult:
        """Refuse: what a world measured is in no report by itself."""
        raise NotImplementedError

    def measured(self, ending: Ending) -> WorldRun:
        """Return what was measured."""
        test = self.test
        body = test.measurement.log.of(Phase.BODY)
        test_readings = readings(body, test.budget.of_whole_test(percentiles=True), test.measurement.prices)
        calls = body.calls
        sample = Sample(
            elapsed=None if body.elapsed is None else nanoseconds(body.elapsed),
            calls=calls,
            test_readings={metric: reading.value for metric, reading in test_readings.items()}
            | test.budget.readings_of_some(calls, body.requests),
        )
        judgements = item_checks.judgements_of(test) if ending == "passed" else ()
        value = None
        if calls and test.settings.what_if:  # a simulation has no use for it, and it reads each answer once more
            value = readings(body, ("first_token",), test.measurement.prices)["first_token"].value
        return WorldRun(ending, sample, judgements, None if value is None else int(value))


@final
class WorldRuns:
    """Runs one test in worlds, one after the other. Use it between the test's own teardown and that of wider scopes."""

    def __init__(self, test: LatencyTest) -> None:
        self._test = test
        self._item: Any = test.item
        # A sibling is what pytest tears down for: the fixtures of the function go, and wider ones stay.
        self.sibling: Any = clone(test.item, "world") if isinstance(test.item, pytest.Function) else test.item

    def run(self, recording: Recording) -> WorldRun:
        """Run the test in the world of this recording."""
        item, world = self._item, WorldItem(self._test, recording)
        sections, fair = list(item._report_sections), item.stash[MEASURED_ITEM]
        item.stash[MEASURED_ITEM], item.stash[IN_WORLD] = world, True
        ending: Ending = "passed"
        try:
            item._initrequest()
            world.begin()
            try:
                try:
                    item.ihook.pytest_runtest_setup(item=item)
                except BaseException as error:
                    ending = _ending_of(error, "error")
                else:
                    try:
                        item.ihook.pytest_runtest_call(item=item)
                    except BaseException as error:
                        ending = _ending_of(error, "failed")
            finally:
                try:
                    item.ihook.pytest_runtest_teardown(item=item, nextitem=self.sibling)
                except BaseException as error:
                    ending = _ending_of(error, "error") if ending == "passed" else ending
            if world.test.measurement.misses:
                ending = "missed"
            return world.measured(ending)
        finally:
            item.stash[MEASURED_ITEM], item.stash[IN_WORLD] = fair, False
            # What its worlds print is nobody's: the report shows what the test itself printed.
            item._report_sections[:] = sections


def _ending_of(error: BaseException, otherwise: Ending) -> Ending:
    """Return how a world ended that raised this. What stops a run stops it here too."""
    if isinstance(error, KeyboardInterrupt | pytest.exit.Exception | SystemExit):
        raise error
    return "deadlock" if isinstance(error, Deadlock) else otherwise
