"""Measured files: what a file says was measured, be it a baseline or the JSON report of a run.

A report holds every sample with all its calls, so it can be compared like a baseline; only the conditions next to a
call's model are not in it. A test of which a sample failed is left out with all its samples: what failed may be what
was slow, and the rest would look fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from pytest_claude_latency.baselines.baseline import Baseline, old_file
from pytest_claude_latency.baselines.facts import CALL_KEYS, FORMAT, CallFact, Count, Seconds
from pytest_claude_latency.baselines.folder import SUFFIX
from pytest_claude_latency.errors import BaselineError
from pytest_claude_latency.known_files import is_report, what_it_is
from pytest_claude_latency.metrics.series import Measured, Mode, Pace, Series, series_of
from pytest_claude_latency.strict_json import JSONFaultError, convert, key_list, parse, read_text

SCHEMA = 1
# what was recorded was measured live
_MODES: Mapping[str, Mode] = {"replay": "replay", "record": "live", "live": "live"}
_CLOCKS: Mapping[str, Pace] = {"virtual": "virtual", "real": "real"}
_FAILED = ("failed", "error")
_EXPECTED = "expected a baseline, or the JSON report of a run"
_CALL_ALWAYS = ("streamed", "attempts", "sent")
"""What every call has; a report has null for what else was not measured."""


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """The samples of each test, by node id; for tests that are left out, pytest's word for their outcome.

    `tells_conditions` is whether it says under which conditions calls were made: unknown ones are no difference.
    """

    path: Path
    series: Mapping[str, Series]
    left_out: Mapping[str, str] = field(default_factory=dict)
    tells_conditions: bool = True

    def next_to(self, other: MeasuredFile) -> dict[str, Series]:
        """Return the samples, without conditions where the other file does not know them."""
        if other.tells_conditions:
            return dict(self.series)
        return {
            nodeid: replace(series, samples=tuple(replace(sample, conditions=()) for sample in series.samples))
            for nodeid, series in self.series.items()
        }


# structs of a report take keys they do not name: later versions may add some


class _Report(Struct, frozen=True, kw_only=True):
    schema: int
    mode: str
    clock: str
    tests: list[Any]


class _Test(Struct, frozen=True, kw_only=True):
    nodeid: str
    variant: str | UnsetType = UNSET
    sample: Count
    outcome: str
    elapsed: Seconds | None
    calls: list[Any]


class _Place(Struct, frozen=True):
    """Where a call was made, which no baseline has: it is shown, and not compared."""

    location: str | None = None


def load(path: Path) -> MeasuredFile:
    """Return what the file holds.

    Raises:
        BaselineError: there is none, or it cannot be read, or it is neither; which line, and why.
        LatencyError: the samples of a test were measured in different ways.
    """
    fact = report_in(path)
    if fact is None:
        return MeasuredFile(path, Baseline.load(path).series)
    try:
        report = _header(fact)
        results = [
            _result(test, f"test {place} in it", report)
            for place, test in enumerate(report.tests, 1)
            # what is compared is the test as it is written, on answers of the API
            if not (isinstance(test, dict) and any(test.get(key) for key in ("variant", "fault", "simulated")))
        ]
    except JSONFaultError as fault:
        raise BaselineError(path, None, f"{fault}; {_EXPECTED}") from None
    # one failed sample leaves out the test: the samples that passed may be the fast ones
    failed = {result.nodeid: result.outcome for result in results if result.outcome in _FAILED}
    series = series_of(result for result in results if result.nodeid not in failed)
    left_out = {result.nodeid: result.outcome for result in results if result.nodeid not in series} | failed
    return MeasuredFile(path, series, left_out, tells_conditions=False)


def report_in(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in the file; None where the file is a baseline.

    Raises:
        BaselineError: there is no such file, or it is neither a baseline nor a JSON object; which line, and why.
    """
    if path.suffix == SUFFIX or old_file(path):
        return None
    text = read_text(path, BaselineError)
    if FORMAT in text.partition("\n")[0]:
        return None
    if not is_report(text) and (known := what_it_is(text)):
        raise BaselineError(path, None, known)
    if not text.strip():
        raise BaselineError(path, None, f"the file is empty; {_EXPECTED}")
    try:
        report = parse(text)
    except JSONFaultError as fault:
        line = fault.__cause__.lineno if isinstance(fault.__cause__, JSONDecodeError) else None
        raise BaselineError(path, line, f"{fault}; {_EXPECTED}") from None
    if not isinstance(report, dict):
        raise BaselineError(path, None, f"it is not a JSON object; {_EXPECTED}")
    return report


def _header(fact: dict[str, Any]) -> _Report:
    """Return a report whose tests are not read yet.

    Raises:
        JSONFaultError: it is not the report of a run that replayed or measured all its tests.
    """
    if "schema" not in fact:
        raise JSONFaultError('it is not a report of this plugin: it has no "schema"')
    report = convert(fact, _Report)
    if report.schema > SCHEMA:
        raise JSONFaultError(
            f"it is a report of schema {report.schema}, this plugin reads {SCHEMA}: a newer one wrote it"
        )
    # mode and clock stand once for the whole report, so they must hold for each of its tests
    if report.mode == "record-missing":
        raise JSONFaultError("its run replayed some tests and recorded others, and it does not say which")
    if report.mode not in _MODES or report.clock not in _CLOCKS:
        raise JSONFaultError(
            f'it has the mode "{report.mode}" and the clock "{report.clock}", which this plugin does not know'
        )
    return report


def _result(fact: object, place: str, report: _Report) -> Measured:
    try:
        test = convert(fact, _Test)
        calls = []
        for number, call in enumerate(test.calls, 1):
            place = f"{place.partition(',')[0]}, call {number}"
            if not isinstance(call, dict):
                raise JSONFaultError("it is not a JSON object")
            if missing := [key for key in CALL_KEYS if key not in call]:
                raise JSONFaultError(f"it lacks {key_list(missing)}")
            # a report has null for what was not measured; a baseline, whose struct reads the call, leaves it out
            measured = {key: call[key] for key in CALL_KEYS if key in _CALL_ALWAYS or call[key] is not None}
            location = convert(call, _Place).location
            calls.append(replace(convert({"call": number, **measured}, CallFact).to_call(), location=location))
    except JSONFaultError as fault:
        raise JSONFaultError(f"{place}: {fault}") from None
    return Measured(
        nodeid=test.nodeid,
        sample=test.sample,
        outcome=test.outcome,
        elapsed=None if test.elapsed is None else round(test.elapsed, 6),
        calls=tuple(calls),
        mode=_MODES[report.mode],
        clock=_CLOCKS[report.clock],
    )
