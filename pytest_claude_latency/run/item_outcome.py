"""How one latency test ends, as its phases tell one after the other."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import final

import pytest

from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.errors import BudgetExceeded
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.miss import Miss
from pytest_claude_latency.messages_api.answer import REFUSALS
from pytest_claude_latency.printable import fitted, printable, printable_lines
from pytest_claude_latency.report.failures import lead_with
from pytest_claude_latency.report.misses import MISSED
from pytest_claude_latency.results.ab_pairs import ABSample
from pytest_claude_latency.results.simulation import Simulation
from pytest_claude_latency.results.what_if import WhatIf
from pytest_claude_latency.run import messages, tracebacks
from pytest_claude_latency.run.item_checks import loaded_mocks, missing_fallback
from pytest_claude_latency.run.latency_test import LatencyTest
from pytest_claude_latency.run.session import OVER_BUDGET, Failure


@final
@dataclass
class ItemOutcome:
    """The outcome of a latency test so far: the only state of it that changes while it runs."""

    test: LatencyTest
    judgements: tuple[Judgement, ...] = ()
    outcome: str = "passed"
    """pytest's word for the test: `passed`, `failed`, `skipped`, `error`, `xfailed`, `xpassed`."""
    ab_sample: ABSample | None = None
    warnings: list[str] = field(default_factory=list)
    is_incomplete: bool = False
    """Whether the test ended before it had done what it does: its own code failed, or it was skipped."""
    recorded_bytes: int | None = None
    """The size of the recording that was written."""
    not_recorded: str = ""
    """Why no recording was written, where one was to be."""
    simulation: Simulation | None = None
    """What it measured in its simulated worlds."""
    what_if: WhatIf | None = None
    """What it would have taken, had the API answered otherwise."""
    not_simulated: str = ""
    """Why it did not run in simulated worlds, where it was to."""
    failure: str = ""
    """The message of the broken budgets or of the miss."""
    traceback: str = ""
    """Where the test itself failed, as far as reports may show it."""
    _variant_failed: bool = False
    _budget_failure: BaseException | None = None

    def __post_init__(self) -> None:
        self.judgements = self.test.budget.unjudged()

    @property
    def keeps_recording(self) -> bool:
        """Whether what was recorded is what the test does, with its variant where it has one."""
        return not self.is_incomplete or self._variant_failed

    @property
    def why_not_recorded(self) -> str:
        """Why what was sent is not to be written; empty if it is."""
        measurement, is_there = self.test.measurement, self.test.file.exists
        if self.keeps_recording and measurement.asked_the_api:
            # What a mock above the HTTP library answers is not seen, so that no call may mean one that was answered.
            mocks = [] if measurement.log.exchanges or not is_there else loaded_mocks()
            return messages.kept_unseen(mocks) if mocks else ""
        old = "; the previous recording stays" if is_there else ""
        if self.keeps_recording:
            return f"something other than the API answered{old}"
        reasons = {"skipped": "the test was skipped", "xfailed": "the test failed, as expected"}
        return f"{reasons.get(self.outcome, 'the test itself failed')}{old}"

    def warn(self, message: str) -> None:
        """Add a warning that the summary shows."""
        self.warnings.append(message)

    def note_pairs(self, ab_sample: ABSample) -> None:
        """Learn what the recorded requests of the test and its current ones measured alternately."""
        self.ab_sample = ab_sample

    def judge(self, judgements: tuple[Judgement, ...], failure: str | None) -> None:
        """Take over the judgements of the test body, and raise the failure if there is one."""
        __tracebackhide__ = True
        self.judgements = judgements
        if failure is not None:
            self._budget_failure = Failure(failure)
            raise self._budget_failure

    def note_teardown(self, error: BaseException) -> None:
        """Learn that the teardown fails: before its report is made, the recording is written or not."""
        self.is_incomplete = self.is_incomplete or not self._is_about_budgets(error)

    def note(self, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None) -> None:
        """Learn how a phase ended. Every failure but that of a budget makes the sample and its recording invalid.

        This is asked of the report, not of an exception around the phase: the failed or skipped method of a
        `TestCase` returns normally through pytest's hooks.
        """
        if self._is_finding(report):
            self._variant_failed = True
            # An expected failure: it is shown with its reason, and fails neither the run nor `--maxfail`.
            refusal = printable(self.test.measurement.log.of(*Phase).refusal)
            reason = messages.VARIANT_REFUSED.format(refusal) if refusal else messages.VARIANT_FAILED
            report.outcome, report.wasxfail = "skipped", reason  # as pytest's own do
        if excinfo is not None and isinstance(excinfo.value, Miss) and hasattr(report, "wasxfail"):
            # What the marker expects is a failure of the test. Behind a miss it would never be looked for again.
            report.outcome = "failed"
            del report.wasxfail
        self.outcome = outcome_of(report) or self.outcome
        told = excinfo.value.told if excinfo is not None and isinstance(excinfo.value, Miss) else None
        if told is not None:
            self.failure = fitted(told.text)
            lead_with(report.longrepr, told.text)
        if told is not None and told.explanation is not None:
            identity, original = self.test.identity, ""
            if identity.variant is not None:
                original = identity.original_nodeid  # which records what a fixture asks
            recorded_by = {
                "recorded_by": told.recorded_by or original or identity.nodeid,
                "variant_of": original if told.recorded_by else "",
            }
            setattr(report, MISSED, asdict(told.explanation) | recorded_by)
        # The recording of a test that is only too slow is a good one: it shows what to make faster.
        if excinfo is not None and self._is_about_budgets(excinfo.value):
            setattr(report, OVER_BUDGET, True)
            broken = _first_text(excinfo.value)
            self.failure = fitted(broken)
            lead_with(report.longrepr, broken)
        elif not report.passed:
            self.is_incomplete = True
            if report.failed and not self.failure:
                self.traceback = tracebacks.shown(
                    self.test.item, report, excinfo, content=self.test.settings.report_content
                )
            if report.failed and (text := self._what_failed(is_call=report.when == "call")):
                report.sections.append(("claude latency", fitted(text)))

    def _what_failed(self, *, is_call: bool) -> str | None:
        """Return what a reader of the failure should know beside it."""
        replays = self.test.measurement.replays
        if self.test.session.current.credential_missing and not replays:
            return messages.NO_KEY
        if not is_call:
            return None
        if self.test.settings.mode.records and not replays and self.test.measurement.log.count:
            return f"not recorded: {self.why_not_recorded}"
        missing = missing_fallback(self.test)
        return printable_lines(missing) if missing else None

    def _is_finding(self, report: pytest.TestReport) -> bool:
        """Return whether a phase failed because of what the variant did to the program, which a run is to find out.

        A failure in a fixture before anything was sent is none, nor is what this plugin or the API could not do.
        """
        if self.test.identity.variant is None or not report.failed or report.when == "teardown":
            return False
        measurement = self.test.measurement
        if measurement.misses:  # the recording lacks a call, which says nothing about the variant
            return False
        if not measurement.replays:
            # A time-out may be the variant's doing: a larger model answers later than the program waits.
            failed = [call for call in measurement.log.of(*Phase).calls if call.error not in (None, "ReadTimeout")]
            if self.test.session.current.credential_missing or any(call.status not in REFUSALS for call in failed):
                return False
        return report.when == "call" or bool(measurement.log.count)

    def _is_about_budgets(self, error: BaseException) -> bool:
        # A task group wraps the error of a block that a task judged. Any other error in it is the test's own failure.
        if isinstance(error, BaseExceptionGroup):
            return all(map(self._is_about_budgets, error.exceptions))
        return isinstance(error, BudgetExceeded) or error is self._budget_failure


def _first_text(error: BaseException) -> str:
    """Return what an error says; of a group what the first error in it says, since its own text only counts them."""
    return _first_text(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else str(error)


def outcome_of(report: pytest.TestReport) -> str | None:
    """Return what a phase says of the whole test; `None` where it adds nothing."""
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else None
