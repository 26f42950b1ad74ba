"""Series: all samples of one test in one run, and how they were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from pytest_claude_latency import duration
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.timeline import Call

Mode: TypeAlias = Literal["replay", "live"]
Pace: TypeAlias = Literal["virtual", "real"]

_USED = ("passed", "xpassed")  # a test that failed may have ended early, so its times say nothing


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The part of a test's result that a series is made of: one sample."""

    nodeid: str
    """The test as pytest prints it, with the variant and without the sample."""
    sample: int = 1
    outcome: str = "passed"
    """pytest's word for the test: `passed`, `failed`, `skipped`, `error`, `xfailed`, `xpassed`."""
    elapsed: float | None = None
    """Seconds from the first request sent to the last answer ended; None if no answer ended."""
    calls: tuple[Call, ...] = ()
    """The calls of the test body, without those of fixtures."""
    test_readings: Mapping[str, float | None] = field(default_factory=dict)
    """Other metrics of the whole test that a percentile is about, in nanoseconds; None where something never came."""
    mode: Mode = "replay"
    """How the test got its answers. A test that was recorded was live."""
    clock: Pace = "virtual"
    """The clock that its numbers were read from; `"real"` if it was live."""
    simulated: bool = False
    """Whether its answers were made up. Nothing compares or keeps what it measured."""
    conditions: tuple[Mapping[str, str], ...] = ()
    """What may have made each of `calls` fast or slow, as `conditions_of` returns it; empty where it is not known."""


MeasuredT = TypeVar("MeasuredT", bound=Measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All samples of one test, in the order of their numbers, in the form that runs are compared in."""

    nodeid: str
    mode: Mode
    clock: Pace
    samples: tuple[Sample, ...]

    @property
    def exact(self) -> bool:
        """Whether another run of the same program with the same recordings gives the same numbers."""
        return self.mode == "replay" and self.clock == "virtual"

    @property
    def kind(self) -> str:
        """How it was measured: `"replayed on the virtual clock"`, `"measured live"`."""
        return "measured live" if self.mode == "live" else f"replayed on the {self.clock} clock"


def by_test(results: Iterable[MeasuredT]) -> dict[str, list[MeasuredT]]:
    """Return the results of each test, by node id in sorted order; those of one test in the order of their samples."""
    tests: dict[str, list[MeasuredT]] = {}
    # sorted, since workers finish in another order every time
    for result in sorted(results, key=lambda result: (result.nodeid, result.sample)):
        tests.setdefault(result.nodeid, []).append(result)
    return tests


def sample_of(result: Measured) -> Sample:
    """Return what one result measured, with times in nanoseconds."""
    elapsed = None if result.elapsed is None else duration.nanoseconds(result.elapsed)
    conditions = tuple(dict(facts) for facts in result.conditions)
    return Sample(
        number=result.sample,
        elapsed=elapsed,
        calls=result.calls,
        test_readings=result.test_readings,
        conditions=conditions,
    )


def series_of(results: Iterable[Measured]) -> dict[str, Series]:
    """Return what a run measured of each test that passed, by node id.

    Raises:
        LatencyError: the samples of a test were measured in different ways.
    """
    tests = by_test(result for result in results if result.outcome in _USED and not result.simulated)
    found: dict[str, Series] = {}
    for nodeid, measured in tests.items():
        kinds = {(result.mode, result.clock) for result in measured}
        if len(kinds) > 1:  # for example, `record-missing` replays some samples and records the others
            raise LatencyError(f"{nodeid}: some of its samples were replayed and some were not; these are never mixed")
        mode, clock = kinds.pop()
        samples = tuple(sample_of(result).comparable() for result in measured)
        found[nodeid] = Series(nodeid=nodeid, mode=mode, clock=clock, samples=samples)
    return found


def refuse_other_kind(before: Series, after: Series) -> None:
    """Refuse two series that were measured in different ways: each way has a clock of its own.

    Raises:
        LatencyError: one was replayed and one measured live, or they were replayed on different clocks.
    """
    # A replay measures the program, a live run the API too: a difference would mean neither.
    if before.kind != after.kind:
        raise LatencyError(f"{after.nodeid} was {before.kind} before and {after.kind} now; these are never compared")
