"""A diagnosis: where the time of a test that has just run went, and why.

It is made only where someone will read it: under a broken budget, for a JSON report, and where the run
explains every test. A test that keeps its budget pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.diagnosis.rules import Finding, Trace, find, listing
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement

_MOST: Final = 3
"""So many findings stand under a broken budget."""


@final
@dataclass(frozen=True)
class Diagnosis:
    """The trace of what was measured, what was found about it, and the judgements it stands under."""

    trace: Trace
    findings: tuple[Finding, ...]
    judgements: Sequence[Judgement]

    @classmethod
    def of(
        cls,
        measurement: Measurement,
        *phases: Phase,
        judgements: Sequence[Judgement],
        related: Iterable[Trace],
        since: int = 0,
        nodeid: str = "",
        sample: int = 1,
    ) -> Diagnosis:
        """The diagnosis of the calls sent in these phases; `since` leaves out the first so many requests.

        `related` are the traces of other recordings, to compare with.
        """
        calls = measurement.log.of(*phases, since=since).attempts
        trace = Trace.of(calls, nodeid=nodeid, sample=sample, now=measurement.now())
        trace = trace.compared_with(related, {judgement.metric for judgement in judgements if judgement.broken})
        return cls(trace, find(trace), judgements)

    def text(self) -> str:
        """What a failing message ends with: the breakdowns its limits are about, and the worst findings."""
        trace = self.trace
        if not trace.order:
            return ""
        lines = [_whole(trace)]
        if len(trace.order) > 1:
            deciding = sorted({each.call for each in self.judgements if each.broken and each.call is not None})
            lines += [f"{f'call {number}':<10}{trace.calls[number - 1].breakdown.text()}" for number in deciding]
        return _section("where the time went", [*lines, *_worst(self.findings)])

    def breakdown(self) -> dict[str, Any]:
        """Where time went, in JSON types: in the whole `test`, in each of its `calls`, and as `text`."""
        trace = self.trace
        return {
            "test": trace.breakdown.as_json(),
            "calls": [call.breakdown.as_json() for call in trace.calls],
            "text": trace.breakdown.text() if trace.order else "",
        }

    def plain_findings(self) -> tuple[dict[str, Any], ...]:
        """What was found, in JSON types."""
        return tuple(finding.as_json() for finding in self.findings)


def of_recording(trace: Trace | None, related: Iterable[Trace], title: str) -> str:
    """Return what a message ends with that is about one recorded sample, under `title`; empty where nothing is known.

    `related` are the traces of other recordings, to compare with.
    """
    if trace is None or not trace.order:
        return ""
    return _section(title, [_whole(trace), *_worst(find(trace.compared_with(related)))])


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n\n" + "\n".join([title, *(f"  {line}" for line in lines)])


def _whole(trace: Trace) -> str:
    return f"{'test' if len(trace.order) > 1 else 'call':<10}{trace.breakdown.text()}"


def _worst(findings: Sequence[Finding]) -> list[str]:
    left = len(findings) - _MOST
    more = f"{'':<10}and {left} more: pytest --latency-explain lists them"
    return [*listing(findings[:_MOST]), *([more] if left > 0 else [])]
