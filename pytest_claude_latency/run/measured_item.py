"""One latency test, from before its first fixture is set up until after its last is torn down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, final

import pytest

from pytest_claude_latency.budgets.budget import Budget, message
from pytest_claude_latency.budgets.judgement import NO_CALL, Judgement
from pytest_claude_latency.cassettes.matching import Rules
from pytest_claude_latency.cassettes.paths import shown
from pytest_claude_latency.cassettes.recording import Recording, path_of, save_set
from pytest_claude_latency.cassettes.staging import Place
from pytest_claude_latency.collection.identity import Identity, identity_of
from pytest_claude_latency.collection.markers import (
    OWNERS,
    Cassette,
    budget_of,
    cassette_of,
    is_bare,
    place_of,
    promises_directly,
    variants_of,
)
from pytest_claude_latency.collection.selection import BUDGET
from pytest_claude_latency.duration import seconds
from pytest_claude_latency.errors import BudgetExceeded, LatencyError
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.latency import Latency
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import LiveSource
from pytest_claude_latency.results.ab_pairs import ABSample
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.run.cassette_file import Shelf
from pytest_claude_latency.run.item_body import Body
from pytest_claude_latency.run.session import OVER_BUDGET, Session
from pytest_claude_latency.settings import Date, Mode
from pytest_claude_latency.virtual_time.clock import WallClock

if TYPE_CHECKING:
    from pytest_claude_latency.diagnosis.rules import Trace
    from pytest_claude_latency.measurement.diagnosis import Diagnosis

_ON_GIVEN = (
    "a latency budget cannot stand on a @given test: its examples would share one set of calls. Measure each example "
    "by itself: `with play(recording) as measured, measured.budget(ttft=...):`, with `play` from pytest_claude_latency "
    "and `recording` drawn from pytest_claude_latency.strategies.recordings()"
)
_NO_KEY = (
    "a client had no API key to call the API with\n"
    "  do        set ANTHROPIC_API_KEY or pass api_key=; a replay needs none: pytest --latency-mode=replay"
)
_ANOTHER_LOOP = (
    "an async client was used on another event loop than the one that its connection belongs to, which fails with or "
    "without this plugin; the failed attempt is part of the numbers: let each test make its client, or use one loop"
)

_NOTHING_VARIED = (
    "the variant changed no call: none fits its when=, or all of them were like it already; the numbers are those of "
    "the test as it is written"
)
FINDING = "a variant's failure is a finding, not a failure of the run"
_REFUSALS = frozenset({400, 403, 404, 413, 422})
"""Statuses by which the API says that it does not take such a request, today or tomorrow."""


@final
class Case:
    """A latency test as it runs.

    Raises:
        LatencyError: a marker or the recording is not understood, or interception is not live.
    """

    def __init__(self, session: Session, item: pytest.Item) -> None:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            raise LatencyError(_ON_GIVEN)
        self._session = session
        self._item = item
        self._identity = identity_of(item)
        self._budget = budget_of(item, session.settings.limits)
        if self._identity.variant is not None:
            self._budget = Budget()
        else:
            variants_of(item)  # what is not understood is an error in every run
        self._direct = promises_directly(item)
        cassette = cassette_of(item)
        self._shelf = shelf_of(item, cassette, session)
        self._judgements: tuple[Judgement, ...] = self._budget.unjudged()
        self._begun = datetime.now(UTC)
        self._spoilt = False
        self._tried_in_vain = False
        self._outcome = "passed"
        self._over_budget: BaseException | None = None
        self._warnings: list[str] = []
        self._ab_sample: ABSample | None = None
        self.measurement = self._measured(cassette)
        self._body = Body(item, self.measurement)
        self.latency = Latency(self.measurement, self._recording, self._related_traces)

    def _measured(self, cassette: Cassette) -> Measurement:
        session, name = self._session, self._item.nodeid
        library = session.current.interception().library
        borrowed = cassette.name is not None and not cassette.owner
        if not session.settings.mode.replays(recorded=self._shelf.exists, borrowed=borrowed):
            warmup = ConnectionWarmup(library) if self._identity.of > 1 else None
            return Measurement(name, WallClock(), LiveSource(), library, warmup=warmup, variant=self._identity.variant)
        recording = self._shelf.load()
        source = self._shelf.replaying(recording, Rules(cassette.ignore, cassette.repeat))
        date, variant = self._date(recording), self._identity.variant
        return Measurement(name, session.current.replay_clock(), source, library, date, variant=variant)

    def _date(self, recording: Recording | None) -> datetime | None:
        if recording is None or self._session.settings.date is not Date.RECORDED:
            return None
        return datetime.fromisoformat(recording.recorded)

    # ── its life, in order ──

    def begin(self) -> None:
        """Before the first fixture: the test's world begins."""
        self._session.current.begin(self.measurement)

    @contextmanager
    def setting_up(self) -> Iterator[None]:
        """Around the set-up of the test's fixtures."""
        __tracebackhide__ = True
        with self.measurement.failing_on_misses():
            yield
        self._body.prepare()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around pytest's call phase. What it measured is judged, unless a `TestCase` failed or skipped in it."""
        __tracebackhide__ = True
        with self._body.running():
            yield
        if not self._body.failed:
            self._judge()

    @contextmanager
    def tearing_down(self) -> Iterator[None]:
        """Around the teardown of the test's fixtures. Then its world ends, and what was recorded is kept.

        A recording that could not be written fails the teardown.
        """
        __tracebackhide__ = True
        try:
            with self.measurement.failing_on_misses():
                yield
        except BaseException as error:
            self._spoilt = self._spoilt or not self._is_about_budgets(error)
            raise
        finally:
            self._conclude()

    def _conclude(self) -> None:
        __tracebackhide__ = True
        self._body.restore()
        self._session.current.end(self.measurement)
        self._item.user_properties[:] = [*self._foreign_properties(), *self._properties()]
        self._mind_unused()
        if self._session.settings.mode.records and not self.measurement.replays and self._is_fit_to_keep:
            with self._session.failing():
                self._shelf.keep(self.measurement.log.exchanges, self._begun)
        if self._session.settings.ab and not self._spoilt and self._identity.variant is None:
            self._ab_sample = self._measure_pairs()

    def _measure_pairs(self) -> ABSample:
        from pytest_claude_latency.ab.runner import ABRunner

        cassette = cassette_of(self._item)
        file, test_id = place_of(self._item, self._identity.nodeid)
        path = path_of(file, self._session.settings.cassettes, test_id, sample=1)
        session = self._session
        runner = ABRunner(
            session.config.rootpath,
            session.settings.redact,
            session.current.during,
            recorded_first=lambda: SystemRandom().random() < 0.5,
        )
        return runner.run(self.measurement, path, Rules(cassette.ignore, cassette.repeat))

    def _judge(self) -> None:
        __tracebackhide__ = True
        if not self._session.settings.judged or self._identity.variant is not None:
            return
        calls = self.measurement.log.of(Phase.BODY).calls
        self._judgements = self._budget.judge(calls, self.measurement.log.of(Phase.BODY).elapsed, direct=self._direct)
        if any(judgement.broken for judgement in self._judgements):
            self._fail(message(self._judgements, calls, self._recording) + self._diagnosis().text())
        if is_bare(self._item) and not self._budget.limits:
            self._fail(
                f"@{BUDGET} on {self._identity.nodeid} names no limit, and none is set further out; "
                f'accepted: limits by name, such as {BUDGET}(ttft="800ms")'
            )
        if not calls:
            self._fail_for_silence()

    # ── its outcome ──

    @property
    def _is_fit_to_keep(self) -> bool:
        """Whether what was recorded is what the test does, with its variant where it has one."""
        return not self._spoilt or self._tried_in_vain

    def note(self, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None) -> None:
        """Learn how a phase ended: whatever fails but a budget spoils the recording."""
        error = excinfo.value if excinfo else None
        if self._is_finding(report):
            self._tried_in_vain = True
            report.outcome, report.wasxfail = "skipped", FINDING  # as pytest's own do
        self._outcome = _outcome(report) or self._outcome
        if error is not None and self._is_about_budgets(error):
            setattr(report, OVER_BUDGET, True)
            return
        if report.passed:
            return
        self._spoilt = True
        if report.failed and self._session.current.credential_missing and not self.measurement.replays:
            report.sections.append(("claude latency", _NO_KEY))

    def _is_finding(self, report: pytest.TestReport) -> bool:
        """Whether a phase failed because of what the variant did to the program: that is what is to be found out.

        What failed in a fixture before anything was sent is none, nor is what this plugin or the API could not do.
        """
        if self._identity.variant is None or not report.failed or report.when == "teardown":
            return False
        measurement = self.measurement
        if measurement.missed or (not measurement.replays and self._met_an_outage()):
            return False
        return report.when == "call" or bool(measurement.log.count)

    def _met_an_outage(self) -> bool:
        """Whether the API could not be asked, or had no answer, for reasons that are none of the variant's."""
        failed = [call for call in self.measurement.log.of(*Phase).calls if call.error not in (None, "ReadTimeout")]
        return self._session.current.credential_missing or any(call.status not in _REFUSALS for call in failed)

    def result(self) -> TestResult:
        """What was measured, for the reports of the run."""
        measurement, settings = self.measurement, self._session.settings
        waits = measurement.real_waits() if measurement.replays else ()
        diagnosis = self._diagnosis() if self._session.settings.diagnosed else None
        return TestResult(
            nodeid=self._identity.nodeid,
            sample=self._identity.sample,
            sample_count=self._identity.of,
            variant=self._identity.variant.name if self._identity.variant else "",
            written=self._identity.written,
            mode="replay" if measurement.replays else "live",
            clock=settings.pace.value if measurement.replays else "real",
            outcome=self._outcome,
            elapsed=measurement.log.of(Phase.BODY).elapsed,
            calls=measurement.log.of(Phase.BODY).calls,
            setup_calls=measurement.log.of(Phase.SETUP, Phase.TEARDOWN).calls,
            judgements=self._judgements,
            conditions=measurement.log.of(Phase.BODY).conditions if settings.uses_baselines else (),
            percentiles=self._budget.percentiles,
            incomplete=self._spoilt,
            judged=settings.judged,
            recording=self._recording,
            warnings=(*self._warnings, *self._said_of_measurement()),
            connecting=self._connecting,
            ab_sample=self._ab_sample,
            notes=tuple(str(wait) for wait in waits),
            breakdown=None if diagnosis is None else diagnosis.breakdown(),
            findings=() if diagnosis is None else diagnosis.plain_findings(),
        )

    def _said_of_measurement(self) -> Iterator[str]:
        measurement = self.measurement
        if measurement.log.met_another_loop:
            yield _ANOTHER_LOOP
        if self._identity.variant is not None and measurement.log.count and not measurement.varied:
            yield _NOTHING_VARIED

    def _diagnosis(self) -> Diagnosis:
        from pytest_claude_latency.measurement.diagnosis import Diagnosis

        identity = self._identity
        return Diagnosis.of(
            self.measurement,
            Phase.BODY,
            judgements=self._judgements,
            related=self._related_traces(),
            nodeid=identity.nodeid,
            sample=identity.sample,
        )

    def _related_traces(self) -> list[Trace]:
        return self._session.recorded_traces.others_in_folder(self._shelf.path)

    @property
    def _connecting(self) -> float | None:
        warmup = self.measurement.warmup
        return seconds(sum(warmup.durations)) if warmup is not None and warmup.durations else None

    def _foreign_properties(self) -> list[tuple[str, object]]:
        return [each for each in self._item.user_properties if not each[0].startswith("latency.")]

    def _properties(self) -> Iterator[tuple[str, float]]:
        """Scalars for JUnit: the worst call's times and the test's own, in seconds, and the number of calls."""
        calls = self.measurement.log.of(Phase.BODY).calls
        for metric in ("ttft", "total"):
            values = [value for call in calls if (value := getattr(call, metric)) is not None]
            if values:
                yield f"latency.{metric}", max(values)
        elapsed = self.measurement.log.of(Phase.BODY).elapsed
        if elapsed is not None:
            yield "latency.elapsed", elapsed
        yield "latency.calls", len(calls)

    @property
    def _recording(self) -> str | None:
        """The file that is replayed or will be written, as messages name it."""
        written = self._session.settings.mode.records and bool(self.measurement.log.count)
        return self._shelf.shown if self.measurement.replays or written else None

    def _fail(self, text: str) -> None:
        __tracebackhide__ = True
        self._over_budget = pytest.fail.Exception(text, pytrace=False)
        raise self._over_budget

    def _fail_for_silence(self) -> None:
        __tracebackhide__ = True
        silent = [judgement.limit for judgement in self._judgements if judgement.verdict == "no calls"]
        promised = len(silent) < len(self._judgements)  # by calls=0
        if self._session.settings.strict and silent and not promised:
            limits = " ".join(limit.text() for limit in silent)
            self._fail(f"{NO_CALL}: {limits} promises nothing ({silent[0].origin}; --latency-strict)")
        if self._direct and not self._budget.plain:
            self._fail(f"{NO_CALL} by a test that carries @{BUDGET}")

    def _is_about_budgets(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):
            return all(self._is_about_budgets(each) for each in error.exceptions)
        return isinstance(error, BudgetExceeded) or error is self._over_budget

    def _mind_unused(self) -> None:
        __tracebackhide__ = True
        if self._spoilt or cassette_of(self._item).name is not None:  # a shared recording is there for others too
            return
        if unused := self._shelf.unused(self.measurement.source):
            if self._session.settings.strict:
                pytest.fail(f"{unused} (--latency-strict)", pytrace=False)
            self._warnings.append(unused)


def opened(session: Session, item: pytest.Item) -> Case:
    """The case of a test that is about to be set up; its world has begun."""
    __tracebackhide__ = True
    with session.failing():
        case = Case(session, item)
    case.begin()
    return case


def never_begun(item: pytest.Item, report: pytest.TestReport) -> TestResult:
    """The result of a test that was skipped by its marks, or whose marker or recording was not understood."""
    identity = identity_of(item)
    outcome = _outcome(report) or "error"
    return TestResult(
        nodeid=identity.nodeid,
        sample=identity.sample,
        sample_count=identity.of,
        variant=identity.variant.name if identity.variant else "",
        written=identity.written,
        outcome=outcome,
        incomplete=True,
    )


def _outcome(report: pytest.TestReport) -> str | None:
    """What a phase says of the whole test; None where it adds nothing."""
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else None


def shelf_of(item: pytest.Item, cassette: Cassette, session: Session) -> Shelf:
    """Where the item's recording lies: its own, or the one it shares.

    Raises:
        LatencyError: no selected test, or more than one, owns the shared recording.
    """
    identity = identity_of(item)
    nodeid = identity.nodeid
    file, test_id = place_of(item, nodeid)
    path = path_of(file, session.settings.cassettes, test_id, identity.sample)
    if cassette.name is not None:
        nodeid = _owner(item.config.stash.get(OWNERS, {}).get((file, cassette.name), []), cassette.name, path)
    command = session.record_command(nodeid, variants=identity.variant is not None)
    save = _save(session, identity, file, test_id)
    return Shelf(path, nodeid, shown(path, session.config.rootpath), command, save, session.settings, identity.sample)


def _save(session: Session, identity: Identity, file: Path, test_id: str) -> Callable[[Sequence[Recording]], None]:
    """What keeps a recording: at once where the test has one sample, with the others where it has several."""
    folder, mode = session.settings.cassettes, session.settings.mode
    if identity.of == 1 and mode is Mode.RECORD:
        return partial(save_set, test_file=file, folder=folder, test_id=test_id)
    place = Place(identity.nodeid, file, folder, test_id, identity.of, add=mode is Mode.RECORD_MISSING)
    return lambda recordings: session.staging.take(recordings, place, identity.sample)


def _owner(owners: list[str], name: str, path: Path) -> str:
    """The test that writes a shared recording: the one collected, or, where it was not, the one that wrote it."""
    if len(owners) == 1:
        return owners[0]
    if not owners and path.exists():
        return Recording.load(path).test
    claim = f"{len(owners)} tests own it: {', '.join(owners)}" if owners else "no test that was collected owns it"
    raise LatencyError(
        f'@latency_cassette(name="{name}"): {claim}; expected one test with owner=True, which records it for the others'
    )
