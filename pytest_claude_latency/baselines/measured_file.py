"""Measured files: what a file says was measured, be it a baseline or the JSON report of a run.

A report holds every sample with all its calls, so it can be compared like a baseline; only the conditions beside a
call's model are not in it. A test of which a sample failed is left out of it whole: what failed may be what was
slow, and the rest would look fast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Never

from pytest_claude_latency.baselines.baseline import Baseline
from pytest_claude_latency.baselines.reader import ALWAYS, CALL, FaultError, call, seconds
from pytest_claude_latency.errors import BaselineError
from pytest_claude_latency.metrics.series import Mode, Pace, Series, series_of
from pytest_claude_latency.metrics.timeline import Call

SCHEMA = 1
_MODES: Mapping[str, Mode] = {"replay": "replay", "record": "live", "live": "live"}
_CLOCKS: Mapping[str, Pace] = {"virtual": "virtual", "real": "real"}
_FAILED = ("failed", "error")
_EXPECTED = "expected a baseline, or the JSON report of a run"


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """The samples of each test, by node id; of tests that are left out, pytest's word for what became of them.

    `tells_conditions` is whether it says what a call was made under: what is not known is no difference.
    """

    path: Path
    series: Mapping[str, Series]
    left_out: Mapping[str, str] = field(default_factory=dict)
    tells_conditions: bool = True

    def beside(self, other: MeasuredFile) -> dict[str, Series]:
        """The samples with no more conditions than the other file tells too."""
        if other.tells_conditions:
            return dict(self.series)
        return {nodeid: _without_conditions(series) for nodeid, series in self.series.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reported:
    """One sample as a report tells of it."""

    nodeid: str
    sample: int
    outcome: str
    elapsed: float | None
    calls: tuple[Call, ...]
    mode: Mode
    clock: Pace
    conditions: tuple[Mapping[str, str], ...] = ()


def load(path: Path) -> MeasuredFile:
    """What the file holds.

    Raises:
        BaselineError: there is none, or it cannot be read, or it is neither; which line, and why.
        LatencyError: the samples of a test were measured in different ways.
    """
    if not _is_object(path):
        return MeasuredFile(path, Baseline.load(path).series)
    try:
        return _read(path, json.loads(path.read_bytes().decode(), parse_constant=_refuse_constant))
    except UnicodeDecodeError:
        raise BaselineError(path, None, "it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BaselineError(path, error.lineno, f"it is cut off, or no JSON ({error.msg}); {_EXPECTED}") from None
    except FaultError as fault:
        raise BaselineError(path, None, f"{fault}; {_EXPECTED}") from None
    except (RecursionError, ValueError):  # so deep, or a number so long, that Python does not read it
        raise BaselineError(path, None, f"it is no report of a run; {_EXPECTED}") from None


def _without_conditions(series: Series) -> Series:
    return replace(series, samples=tuple(replace(sample, conditions=()) for sample in series.samples))


def _is_object(path: Path) -> bool:
    """Whether it begins like a report. A baseline is an array; what is no file at all is told as one is read."""
    try:
        with path.open("rb") as file:
            return file.read(4096).lstrip().startswith(b"{")
    except OSError:
        return False


def _refuse_constant(constant: str) -> Never:
    raise FaultError(f"it holds {constant}, which is no measurement")


def _read(path: Path, report: Mapping[str, Any]) -> MeasuredFile:
    mode, clock = _way(report)
    tests = report.get("tests")
    if not isinstance(tests, list):
        raise FaultError('it has no list "tests"')
    reported = [_test(test, place, mode, clock) for place, test in enumerate(tests, 1) if not _is_variant(test)]
    failed = {each.nodeid: each.outcome for each in reported if each.outcome in _FAILED}
    series = series_of(each for each in reported if each.nodeid not in failed)
    left_out = {each.nodeid: each.outcome for each in reported if each.nodeid not in series} | failed
    return MeasuredFile(path, series, left_out, tells_conditions=False)


def _is_variant(test: object) -> bool:
    """Whether it was only tried; what is compared is the test as it is written."""
    return isinstance(test, dict) and bool(test.get("variant"))


def _way(report: Mapping[str, Any]) -> tuple[Mode, Pace]:
    schema, mode, clock = (report.get(key) for key in ("schema", "mode", "clock"))
    if type(schema) is not int:
        raise FaultError('it is no report of this plugin: it has no "schema"')
    if schema > SCHEMA:
        raise FaultError(f"it is a report of schema {schema}, this plugin reads {SCHEMA}: a newer one wrote it")
    if mode == "record-missing":
        raise FaultError("its run replayed some tests and recorded others, and it does not say which")
    known = _MODES.get(str(mode)), _CLOCKS.get(str(clock))
    if known[0] is None or known[1] is None:
        raise FaultError(f'it has the mode "{mode}" and the clock "{clock}", which this plugin does not know')
    return known[0], known[1]


def _test(test: object, place: int, mode: Mode, clock: Pace) -> _Reported:
    try:
        if not isinstance(test, dict):
            raise FaultError("it is not a JSON object")
        return _Reported(
            nodeid=_known(test, "nodeid", str),
            sample=_known(test, "sample", int),
            outcome=_known(test, "outcome", str),
            elapsed=_elapsed(test),
            calls=tuple(map(_call, _known(test, "calls", list))),
            mode=mode,
            clock=clock,
        )
    except FaultError as fault:
        raise FaultError(f"test {place} in it: {fault}") from None


def _known(test: Mapping[str, Any], key: str, kind: type) -> Any:
    if type(test.get(key)) is not kind:
        raise FaultError(f'it has no "{key}" that a report would have')
    return test[key]


def _elapsed(test: Mapping[str, Any]) -> float | None:
    return None if test.get("elapsed") is None else seconds(test, "elapsed")


def _call(fact: object) -> Call:
    if not isinstance(fact, dict):
        raise FaultError("a call is not a JSON object")
    if missing := CALL - fact.keys():
        raise FaultError(f"a call lacks {', '.join(sorted(missing))}")
    return call({name: fact[name] for name in CALL if name in ALWAYS or fact[name] is not None})
