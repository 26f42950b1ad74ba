"""Results: what one run of one test measured, and how it fared against its budget.

It crosses from an xdist worker to the controller as one plain dict, so every
part can be written as JSON types and read back without loss.
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
    """What the test was tried with; empty where it ran as it is written."""
    written: str = ""
    """The node id of the test as it is written, where this is a variant of it."""
    mode: Mode = "replay"
    """How the test got its answers; one that was recorded was live."""
    clock: Pace = "virtual"
    """What its numbers were read from; `"real"` where it was live."""
    outcome: str = "passed"
    """pytest's word for the test: `passed`, `failed`, `skipped`, `error`, `xfailed`, `xpassed`."""
    elapsed: float | None = None
    """Seconds from the first request sent to the last answer ended; None where no answer ended."""
    calls: tuple[Call, ...] = ()
    setup_calls: tuple[Call, ...] = ()
    """Calls made in fixtures, on which no budget is judged."""
    judgements: tuple[Judgement, ...] = ()
    conditions: tuple[Mapping[str, str], ...] = ()
    """What may have made each of `calls` fast or slow; empty where no baseline is used."""
    percentiles: tuple[Limit, ...] = ()
    """Limits over all samples of the test."""
    incomplete: bool = False
    """Whether it did not run to its end: its own code failed, or it was skipped."""
    judged: bool = True
    """Whether the run judges budgets. Where it does not, `judgements` only tells which limits there are."""
    recording: str | None = None
    """The file that was replayed or written, relative to rootdir."""
    warnings: tuple[str, ...] = ()
    """What a user should mend: unused recordings, an inherited budget over no call."""
    connecting: float | None = None
    """Seconds spent on opening connections ahead of calls, in no other time; None where none was opened so."""
    ab_sample: ABSample | None = None
    """What its calls and its recorded requests measured alternately; None where that was not asked for."""
    notes: tuple[str, ...] = ()
    """What a user may want to know: waits that cost real seconds."""

    breakdown: Mapping[str, Any] | None = None
    """Where its time went, in JSON types: `test`, `calls` and `text`; None where that was not asked for."""
    findings: tuple[Mapping[str, Any], ...] = ()
    """What was found about it, in JSON types, the costliest first."""

    @property
    def succeeded(self) -> bool | None:
        """Whether the test's own assertions held, whatever became of budgets; None where it was skipped."""
        return None if self.outcome == "skipped" else not self.incomplete

    @property
    def broken(self) -> tuple[Judgement, ...]:
        """The limits that were judged and not kept."""
        return tuple(each for each in self.judgements if self.judged and each.broken)

    def as_dict(self) -> dict[str, Any]:
        """The result in types that JSON and execnet know; `from_dict` reads it back."""
        plain = dict(vars(self))
        for name in ("calls", "setup_calls", "judgements", "percentiles"):
            plain[name] = [asdict(each) for each in plain[name]]
        plain["ab_sample"] = self.ab_sample and self.ab_sample.as_dict()
        return plain | {name: list(plain[name]) for name in ("conditions", "warnings", "notes", "findings")}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TestResult:
        """The result that `as_dict` wrote."""
        parts = {
            "calls": tuple(Call(**each) for each in plain["calls"]),
            "setup_calls": tuple(Call(**each) for each in plain["setup_calls"]),
            "judgements": tuple(_judgement(each) for each in plain["judgements"]),
            "percentiles": tuple(Limit(**each) for each in plain["percentiles"]),
            "ab_sample": plain["ab_sample"] and ABSample.from_dict(plain["ab_sample"]),
            **{name: tuple(plain[name]) for name in ("conditions", "warnings", "notes", "findings")},
        }
        return cls(**{**plain, **parts})


def _judgement(plain: Mapping[str, Any]) -> Judgement:
    return Judgement(**{**plain, "limit": Limit(**plain["limit"])})
