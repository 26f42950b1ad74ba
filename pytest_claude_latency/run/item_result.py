"""What was measured of one latency test, for the reports of the run and for JUnit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_claude_latency.collection.identity import Identity, identity_of
from pytest_claude_latency.duration import seconds
from pytest_claude_latency.measurement import machine_stalls, unmeasured_calls
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.latency import Latency, judged_blocks
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.whole_test import readings
from pytest_claude_latency.metrics.given_up import times_that_count
from pytest_claude_latency.metrics.telemetry import telemetry_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.results.result import TestResult
from pytest_claude_latency.run import messages
from pytest_claude_latency.run.item_outcome import ItemOutcome, outcome_of
from pytest_claude_latency.run.latency_test import LatencyTest

if TYPE_CHECKING:
    from pytest_claude_latency.measurement.diagnosis import Diagnosis

_OWN_PREFIX = "latency."


def result_of(outcome: ItemOutcome, latency: Latency) -> TestResult:
    """Return the result of a test that has ended, with what it saw of its own measurements."""
    test = outcome.test
    measurement, settings = test.measurement, test.settings
    body = measurement.log.of(Phase.BODY)
    # Only where someone reads it: a diagnosis is not cheap.
    is_diagnosed = settings.diagnosed or test.identity.fault is not None
    diagnosis = test.diagnose(outcome.judgements) if is_diagnosed else None
    real_waits = map(str, measurement.real_waits()) if measurement.replays else ()
    # What was spent on connections ahead of the calls is in no call's time, so it is told apart.
    durations = measurement.warmup.durations if measurement.warmup is not None else []
    test_readings = readings(body, test.budget.of_whole_test(percentiles=True), measurement.prices)
    return _result(
        test.identity,
        outcome.outcome,
        test_readings={metric: reading.value for metric, reading in test_readings.items()}
        | test.budget.readings_of_some(body.calls, body.requests),
        mode="replay" if measurement.replays else "live",
        simulated=test.is_simulated,
        # a fault never waits for real
        clock=("virtual" if test.identity.fault else settings.pace.value) if measurement.replays else "real",
        elapsed=body.elapsed,
        calls=body.calls,
        refusal=printable(measurement.log.of(*Phase).refusal),
        session_calls=body.sessions,
        injected=sum(exchange.meets_fault for exchange in measurement.log.exchanges),
        replayed_calls=sum(
            call.is_prompt and all(exchange.recorded is not None for exchange in call.exchanges)
            for call in measurement.log.of(*Phase).sent
        ),
        setup_calls=measurement.log.of(Phase.SETUP, Phase.TEARDOWN).calls,
        judgements=outcome.judgements,
        conditions=body.conditions if settings.uses_baselines else (),
        percentiles=test.budget.percentiles,
        incomplete=outcome.is_incomplete,
        judged=settings.judged,
        failure=outcome.failure,
        traceback=outcome.traceback,
        began=seconds(body.began),
        place=_place_of(test.item),
        recording=test.recording,
        recorded_bytes=outcome.recorded_bytes,
        not_recorded=outcome.not_recorded,
        warnings=(*outcome.warnings, *_warnings_of(test)),
        connecting=seconds(sum(durations)) if durations else None,
        ab_sample=outcome.ab_sample,
        simulation=outcome.simulation,
        what_if=outcome.what_if,
        watched=latency.watched,
        blocks=judged_blocks(latency),
        telemetry=tuple(telemetry_of(call.exchanges) for call in body.sent if call.is_prompt) if settings.otel else (),
        notes=(
            *_verdicts_on_client(test, diagnosis),
            *([outcome.not_simulated] if outcome.not_simulated else []),
            *(output.text() for output in latency.watched),
            *real_waits,
            *unmeasured_calls.notes_of(measurement),
        ),
        breakdown=None if diagnosis is None else diagnosis.breakdown(),
        findings=() if diagnosis is None else tuple(finding.as_json() for finding in diagnosis.findings),
    )


def _place_of(item: pytest.Item) -> str:
    """Return the file and line of a test, as pytest shows places: from rootdir, counted from 1."""
    path, line, _ = item.location
    return f"{_with_slashes(path)}:{(line or 0) + 1}"


@lru_cache(maxsize=256)  # for each test of a file
def _with_slashes(path: str) -> str:
    return Path(path).as_posix()


def _warnings_of(test: LatencyTest) -> Iterator[str]:
    measurement, records = test.measurement, test.settings.mode.records
    yield from unmeasured_calls.warnings_of(measurement)
    if stalled := machine_stalls.warning_of(measurement, is_recorded=records):
        yield stalled
    # A machine that stalls makes the program late too, and is told already.
    elif records and not measurement.replays:
        holds, exchanges = measurement.holds(), measurement.log.exchanges
        if holds or any(exchange.pauses for exchange in exchanges):
            from pytest_claude_latency.measurement import diagnosis  # only where there may be something to say

            if late := diagnosis.late_program(exchanges, holds):
                yield late
    if measurement.log.met_another_loop:
        yield messages.ANOTHER_LOOP
    if test.identity.variant is not None and measurement.log.count and not measurement.varied:
        yield messages.NOTHING_VARIED


def _verdicts_on_client(test: LatencyTest, diagnosis: Diagnosis | None) -> Iterator[str]:
    """With a fault the question is how the program behaves, and not only whether it is fast enough."""
    if test.identity.fault is None or diagnosis is None:
        return
    from pytest_claude_latency.diagnosis.rules import VERDICTS  # here, where the rules are loaded by now

    for finding in diagnosis.findings:
        if finding.rule in VERDICTS:
            yield f"{finding.fact}; {finding.remedy}"


def result_of_unmeasured(item: pytest.Item, report: pytest.TestReport) -> TestResult:
    """Return the result of a test that was skipped by its marks, or whose marker or recording was not understood."""
    return _result(
        identity_of(item),
        outcome_of(report) or "error",
        incomplete=True,
        # what kept it from being measured is a message of the plugin's own, without a traceback
        failure=report.longreprtext if report.failed else "",
        place=_place_of(item),
    )


def _result(identity: Identity, outcome: str, **measured: Any) -> TestResult:
    return TestResult(
        nodeid=identity.nodeid,
        sample=identity.sample,
        sample_count=identity.sample_count,
        variant=identity.variant.name if identity.variant else "",
        fault=identity.fault.id if identity.fault else "",
        fault_option=identity.fault.option if identity.fault else "",
        original_nodeid=identity.original_nodeid,
        outcome=outcome,
        **measured,
    )


def add_properties(item: pytest.Item, measurement: Measurement, *, simulated: bool) -> None:
    """Write the scalars for JUnit into the item: the worst call's times and the test's own, in seconds, and counts.

    `simulated` says that its answers were made up.
    """
    body = measurement.log.of(Phase.BODY)
    calls = body.calls
    counted, properties = times_that_count(calls), list[tuple[str, object]]()
    # the worst call of each, since a property holds one value
    for metric in ("ttft", "total"):
        values = [value for call in counted if (value := getattr(call, metric)) is not None]
        if values:
            properties.append((f"{_OWN_PREFIX}{metric}", max(values)))
    if (elapsed := body.elapsed) is not None:
        properties.append((f"{_OWN_PREFIX}elapsed", elapsed))
    properties.append((f"{_OWN_PREFIX}calls", len(calls)))
    if simulated:
        properties.append((f"{_OWN_PREFIX}simulated", True))
    if (fault := identity_of(item).fault) is not None:
        properties.append((f"{_OWN_PREFIX}fault", fault.id))
    # A plugin that reruns a test keeps its item: what the run before wrote must go.
    others = [(name, value) for name, value in item.user_properties if not name.startswith(_OWN_PREFIX)]
    item.user_properties[:] = [*others, *properties]
