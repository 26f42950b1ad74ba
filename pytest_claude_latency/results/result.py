"""Results: what one sample of a test measured, and whether it kept its budget.

A result travels from an xdist worker to the controller as one plain dict. So every part can be written as JSON types
and read back without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from pytest_claude_latency.budgets.block import JudgedBlock
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.metrics.series import Measured
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.metrics.watched import Watched
from pytest_claude_latency.results.ab_pairs import ABSample
from pytest_claude_latency.results.simulation import Simulation
from pytest_claude_latency.results.what_if import WhatIf

MADE_UP: Final = "none yet: its answers are made up (simulated)"
"""Stands in messages for the recording of a test that has none."""


@dataclass(frozen=True, kw_only=True)
class TestResult(Measured):
    """One sample of one latency test."""

    __test__: ClassVar[bool] = False  # the name looks like a test class to pytest

    sample_count: int = 1
    """How many samples of the test were to run."""
    variant: str = ""
    """What the test was tried with; empty if it ran as it is written."""
    fault: str = ""
    """What happened to its calls, as its node id has it; empty if nothing did."""
    injected: int = 0
    """How many of its attempts the fault answered, and no API."""
    replayed_calls: int = 0
    """How many of its calls a recording or a fault answered, all attempts of them, and no API."""
    fault_option: str = ""
    """The same as `--latency-fault` has it; empty where a marker declares it."""
    original_nodeid: str = ""
    """The node id of the test as it is written, if this is a variant of it or runs it with a fault; otherwise empty."""
    refusal: str = ""
    """Why the API did not take one of its requests, in the API's words; empty if it took all."""
    session_calls: tuple[Call, ...] = ()
    """The event streams of sessions that the test body followed, which are not among `calls`."""
    setup_calls: tuple[Call, ...] = ()
    """Calls made in fixtures. No budget is judged on them."""
    judgements: tuple[Judgement, ...] = ()
    percentiles: tuple[Limit, ...] = ()
    """Limits over all samples of the test."""
    incomplete: bool = False
    """Whether it did not run to its end: its own code failed, or it was skipped."""
    judged: bool = True
    """Whether the run judges budgets. If not, `judgements` only shows which limits there are."""
    failure: str = ""
    """The message of its broken budgets or of its miss; empty where neither made it fail."""
    traceback: str = ""
    """Where its own code failed, as far as reports may show it; empty where it did not."""
    began: float = 0.0
    """When its body began, in seconds since the start of the test."""
    place: str = ""
    """The file and line of the test, relative to rootdir: `tests/test_it.py:12`."""
    recording: str | None = None
    """The file that was replayed or written, relative to rootdir."""
    recorded_bytes: int | None = None
    """The size of the recording that was written of it; None if none was."""
    not_recorded: str = ""
    """Why a run that records wrote none of it; empty if it did, or had nothing to write."""
    warnings: tuple[str, ...] = ()
    """What a user should change, for example unused recordings."""
    connecting: float | None = None
    """Seconds spent on opening connections ahead of calls, which are in no other time. None if none was opened so."""
    ab_sample: ABSample | None = None
    """What its calls and its recorded requests measured alternately; None if that was not asked for."""
    simulation: Simulation | None = None
    """What it measured in its redrawn worlds; None where that was not asked for."""
    what_if: WhatIf | None = None
    """What it would have taken, had the API answered otherwise; None where that was not asked for."""
    watched: tuple[Watched, ...] = ()
    """What was measured of the outputs that the test watched."""
    blocks: tuple[JudgedBlock, ...] = ()
    """The blocks of the test that have limits of their own."""
    telemetry: tuple[Mapping[str, Any], ...] = ()
    """What OpenTelemetry's conventions ask of each of `calls` besides, in JSON types; empty where nothing is sent."""
    notes: tuple[str, ...] = ()
    """What a user may want to know, for example which waits cost real seconds."""

    breakdown: Mapping[str, Any] | None = None
    """Where its time went, in JSON types: `test`, `calls` and `text`; None if that was not asked for."""
    findings: tuple[Mapping[str, Any], ...] = ()
    """The findings about it in JSON types, the costliest first."""

    @property
    def evidence(self) -> str | None:
        """What messages name as the recording that the numbers come from."""
        return MADE_UP if self.simulated else self.recording

    @property
    def succeeded(self) -> bool | None:
        """Whether the test's own assertions held, whether or not it kept its budget; None if it was skipped."""
        return None if self.outcome == "skipped" else not self.incomplete

    @property
    def fails(self) -> bool:
        """Whether it makes the run fail. A failure that is expected does not."""
        return self.outcome in ("failed", "error")

    @property
    def broken(self) -> tuple[Judgement, ...]:
        """The limits that were judged and not kept."""
        return tuple(judgement for judgement in self.judgements if self.judged and judgement.broken)

    def as_dict(self) -> dict[str, Any]:
        """Return the result in types that JSON and execnet accept; `from_dict` reads them."""
        # execnet carries only builtin types: a dataclass would end the channel of the worker
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TestResult:
        """Return the result that `as_dict` wrote."""
        return msgspec.convert(values, cls)
