"""Results: what one sample of a test measured, and whether it kept its budget.

A result travels from an xdist worker to the controller as one plain dict. So every part can be written as JSON types
and read back without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.metrics.series import Mode, Pace
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.results.ab_pairs import ABSample


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """One sample of one latency test."""

    __test__: ClassVar[bool] = False  # the name looks like a test class to pytest

    nodeid: str
    """As pytest prints it, with the variant and without the sample."""
    sample: int = 1
    sample_count: int = 1
    """How many samples of the test were to run."""
    variant: str = ""
    """What the test was tried with; empty if it ran as it is written."""
    written: str = ""
    """The node id of the test as it is written, if this is a variant of it; otherwise empty."""
    mode: Mode = "replay"
    """How the test got its answers. A test that was recorded was live."""
    clock: Pace = "virtual"
    """The clock that its numbers were read from; `"real"` if it was live."""
    outcome: str = "passed"
    """pytest's word for the test: `passed`, `failed`, `skipped`, `error`, `xfailed`, `xpassed`."""
    elapsed: float | None = None
    """Seconds from the first request sent to the last answer ended; None if no answer ended."""
    calls: tuple[Call, ...] = ()
    setup_calls: tuple[Call, ...] = ()
    """Calls made in fixtures. No budget is judged on them."""
    judgements: tuple[Judgement, ...] = ()
    conditions: tuple[Mapping[str, str], ...] = ()
    """What may have made each of `calls` fast or slow; empty if no baseline is used."""
    percentiles: tuple[Limit, ...] = ()
    """Limits over all samples of the test."""
    incomplete: bool = False
    """Whether it did not run to its end: its own code failed, or it was skipped."""
    judged: bool = True
    """Whether the run judges budgets. If not, `judgements` only shows which limits there are."""
    recording: str | None = None
    """The file that was replayed or written, relative to rootdir."""
    warnings: tuple[str, ...] = ()
    """What a user should change, for example unused recordings."""
    connecting: float | None = None
    """Seconds spent on opening connections ahead of calls, which are in no other time. None if none was opened so."""
    ab_sample: ABSample | None = None
    """What its calls and its recorded requests measured alternately; None if that was not asked for."""
    notes: tuple[str, ...] = ()
    """What a user may want to know, for example which waits cost real seconds."""

    breakdown: Mapping[str, Any] | None = None
    """Where its time went, in JSON types: `test`, `calls` and `text`; None if that was not asked for."""
    findings: tuple[Mapping[str, Any], ...] = ()
    """The findings about it in JSON types, the costliest first."""

    @property
    def succeeded(self) -> bool | None:
        """Whether the test's own assertions held, whether or not it kept its budget; None if it was skipped."""
        return None if self.outcome == "skipped" else not self.incomplete

    @property
    def broken(self) -> tuple[Judgement, ...]:
        """The limits that were judged and not kept."""
        return tuple(judgement for judgement in self.judgements if self.judged and judgement.broken)

    def as_dict(self) -> dict[str, Any]:
        """Return the result in types that JSON and execnet accept; `from_dict` reads them."""
        # not asdict: what holds a mapping of its own would be copied deeply, and it writes itself
        values = dict(vars(self))
        for name in ("calls", "setup_calls", "judgements", "percentiles"):
            values[name] = [asdict(value) for value in values[name]]
        values["ab_sample"] = self.ab_sample and self.ab_sample.as_dict()
        return values | {name: list(values[name]) for name in ("conditions", "warnings", "notes", "findings")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TestResult:
        """Return the result that `as_dict` wrote."""
        parts = {
            "calls": tuple(Call(**call) for call in values["calls"]),
            "setup_calls": tuple(Call(**call) for call in values["setup_calls"]),
            "judgements": tuple(
                Judgement(**{**judgement, "limit": Limit(**judgement["limit"])}) for judgement in values["judgements"]
            ),
            "percentiles": tuple(Limit(**limit) for limit in values["percentiles"]),
            "ab_sample": values["ab_sample"] and ABSample.from_dict(values["ab_sample"]),
            **{name: tuple(values[name]) for name in ("conditions", "warnings", "notes", "findings")},
        }
        return cls(**{**values, **parts})
