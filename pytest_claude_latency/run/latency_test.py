"""One latency test: what its markers, its recording and the settings of the run fix before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, final

import pytest

from pytest_claude_latency.budgets.budget import Budget
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.cassettes.header_dates import on_the_calendar
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.collection.answers_marker import answers_of
from pytest_claude_latency.collection.faults import faults_of
from pytest_claude_latency.collection.identity import FaultOfTest, Identity, identity_of
from pytest_claude_latency.collection.markers import CassetteMarker, budget_of, cassette_marker_of, variants_of
from pytest_claude_latency.collection.selection import what_marks
from pytest_claude_latency.errors import FaultError, LatencyError
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.made_up_answers import AnswersMarker, MadeUpAnswers, must_be_able_to_fit
from pytest_claude_latency.measurement.measurement import Measurement, Source
from pytest_claude_latency.measurement.sources import LiveSource
from pytest_claude_latency.results.result import MADE_UP
from pytest_claude_latency.run import messages
from pytest_claude_latency.run.cassette_file import CassetteFile, cassette_file_of, own_file_of
from pytest_claude_latency.run.current_measurement import replay_clock
from pytest_claude_latency.run.session import Session
from pytest_claude_latency.run.stash_keys import CALLS_API
from pytest_claude_latency.settings import Date, Mode, Settings
from pytest_claude_latency.simulation.profiles import shipped
from pytest_claude_latency.virtual_time.clock import VirtualClock, WallClock

if TYPE_CHECKING:
    from pytest_claude_latency.diagnosis.rules import Trace
    from pytest_claude_latency.measurement.diagnosis import Diagnosis


@final
@dataclass(frozen=True)
class LatencyTest:
    """One sample of one latency test, and the measurement that its calls belong to."""

    session: Session
    item: pytest.Item
    identity: Identity
    budget: Budget
    """What the test promises: with a fault, what its marker says. A variant promises nothing: it is measured only."""
    marker: CassetteMarker
    file: CassetteFile
    measurement: Measurement
    replayed: Recording | None = None
    """The recording that is replayed; `None` where there is none."""
    own_file: CassetteFile | None = None
    """Where the recording lies of what the test asks only with its fault; `None` without one."""

    @classmethod
    def of(cls, session: Session, item: pytest.Item) -> LatencyTest:
        """Return the latency test that a pytest item runs.

        Raises:
            LatencyError: a marker or the recording is not understood, or interception is not live.
        """
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            raise LatencyError(messages.on_given(what_marks(item)))
        identity = identity_of(item)
        budget = budget_of(item, session.settings.limits)
        # a marker that is not understood is an error in every run, with variants and faults or without
        faults = faults_of(item)
        if identity.variant is not None:
            budget = Budget()
        else:
            variants_of(item)
        # Made-up answers are for the test as it is written. They are read in every run, as all markers are.
        answers = answers_of(item)
        marker = cassette_marker_of(item)
        file = cassette_file_of(item, marker, session)
        session.current.prove_interception()
        if identity.fault is not None:
            return cls._with_fault(session, item, identity.fault, marker, file)
        root = session.config.rootpath
        recording: Recording | None = None
        if session.settings.mode.replays(recorded=file.exists, borrowed=marker.is_borrowed):
            # Without a recording the test is replayed all the same: its first request misses, and the message names the
            # command that records it.
            recording, date = file.load(), None
            if identity.is_fair and identity.sample == 1 and session.settings.runs_faults:
                for fault in faults:  # only to see whether it fits: what is wrong is told before anything of it runs
                    _with_fault_in_it(recording, answers, fault)
            if recording is not None:
                if session.settings.date is Date.RECORDED:
                    date = datetime.fromisoformat(recording.recorded)
                recording, date = on_the_calendar(recording, date)
            source: Source = file.source(recording, marker.rules)
            if recording is None and answers and identity.variant is None:
                source = MadeUpAnswers(answers, session.settings.profiles or shipped(), file.command)
            clock = replay_clock(session.settings)
            measurement = Measurement(item.nodeid, clock, source, date, variant=identity.variant, root=root)
        else:
            session.current.warm_up_sdk()
            # Samples are compared with each other, so none may be slower only because it opens the connection.
            warmup = ConnectionWarmup() if identity.sample_count > 1 else None
            measurement = Measurement(
                item.nodeid, WallClock(), LiveSource(), warmup=warmup, variant=identity.variant, root=root
            )
        measurement.prices = session.settings.prices or measurement.prices
        return cls(session, item, identity, budget, marker, file, measurement, recording)

    @classmethod
    def _with_fault(
        cls, session: Session, item: pytest.Item, fault: FaultOfTest, marker: CassetteMarker, file: CassetteFile
    ) -> LatencyTest:
        """Return the test that is run with a fault: in a replay, and only for what no recording fits, with the API."""
        identity, settings, own_file = identity_of(item), session.settings, own_file_of(item, session)
        calls_api = CALLS_API in item.stash
        if settings.mode.records and (not file.exists or identity.original_nodeid in session.not_recorded):
            raise pytest.skip.Exception(messages.FAULT_WITHOUT_RECORDING, _use_item_location=True)
        recording, date, answers = file.load(), None, answers_of(item)
        if recording is not None and settings.date is Date.RECORDED:
            date = datetime.fromisoformat(recording.recorded)
        try:
            # before the dates are moved: a refusal names the moment at which its limits are filled again
            recording = _with_fault_in_it(recording, answers, fault)
        except FaultError as error:
            if not fault.option:
                raise
            raise pytest.skip.Exception(str(error), _use_item_location=True) from None
        if recording is not None:
            recording, date = on_the_calendar(recording, date)
            # What is to be recorded anew is asked for again.
            added = None if settings.mode is Mode.RECORD else own_file.load()
            if added is not None:
                exchanges = on_the_calendar(added, date)[0].exchanges
                recording = replace(recording, exchanges=(*recording.exchanges, *exchanges))
        if calls_api:
            session.current.warm_up_sdk()
        source: Source = file.source(recording, marker.rules, sends=calls_api)
        if recording is None and answers:
            source = MadeUpAnswers(answers, settings.profiles or shipped(), file.command, fault.put_into)
        # A replay is virtual whatever the run says: the waits of a fault would take minutes, and say nothing more.
        measurement = Measurement(
            item.nodeid,
            WallClock() if calls_api else VirtualClock(),
            source,
            None if calls_api else date,
            is_fair=False,
            root=session.config.rootpath,
        )
        measurement.prices = settings.prices or measurement.prices
        own = own_file if calls_api else file
        return cls(session, item, identity, fault.budget, marker, own, measurement, recording, own_file)

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.session.settings

    @property
    def is_judged(self) -> bool:
        """Whether the run holds the test to its budget."""
        return self.settings.judged and self.identity.variant is None

    @property
    def is_simulated(self) -> bool:
        """Whether its calls get answers that no API gave."""
        return isinstance(self.measurement.source, MadeUpAnswers)

    @property
    def recording(self) -> str | None:
        """The file that is replayed or will be written, as messages name it; `None` if there is none."""
        if self.is_simulated:
            return None
        is_written = self.settings.mode.records and bool(self.measurement.log.count)
        return self.file.shown if self.measurement.replays or is_written else None

    @property
    def evidence(self) -> str | None:
        """What messages name as the recording that the numbers come from."""
        return MADE_UP if self.is_simulated else self.recording

    def related_traces(self) -> list[Trace]:
        """Return the traces of the other recordings in the folder, for findings that compare."""
        traces = self.session.recorded_traces
        # with a fault, what the test itself recorded shows what is usual
        own = traces.at(self.file.path) if self.identity.fault is not None else None
        return [*traces.others_in_folder(self.file.path), *([own] if own is not None else [])]

    def diagnose(self, judgements: Sequence[Judgement]) -> Diagnosis:
        """Return where the time of the test body went, and why."""
        from pytest_claude_latency.measurement.diagnosis import Diagnosis

        return Diagnosis.of(
            self.measurement.log.of(Phase.BODY),
            judgements=judgements,
            related=self.related_traces(),
            replaced=None if self.measurement.replays else self.session.recorded_traces.at(self.file.path),
            nodeid=self.identity.nodeid,
            sample=self.identity.sample,
            has_fault=self.identity.fault is not None,
        )


def _with_fault_in_it(
    recording: Recording | None, answers: Sequence[AnswersMarker], fault: FaultOfTest
) -> Recording | None:
    """Return a recording with the fault in it. Without one, see whether the fault may fit the answers of a marker.

    Raises:
        FaultError: it does not.
    """
    if recording is not None:
        return fault.put_into(recording)
    if answers:
        try:
            must_be_able_to_fit(fault.fault, answers)
        except FaultError as error:
            raise FaultError(error.problem, fault.origin) from None
    return None
