"""A diagnosis: where the time of a test that has just run went, and why.

It is made only where someone will read it: under a broken budget, for a JSON report, and where the run explains each
test. A test that keeps its budget pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.diagnosis.fitting import fitting
from pytest_claude_latency.diagnosis.lateness import as_due, late_spans
from pytest_claude_latency.diagnosis.rules import Finding, Trace, find, listing
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.measurement.call_log import CallsInPhases
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.sample import NEVER
from pytest_claude_latency.virtual_time import Hold, place_of_hold

_MOST: Final = 3
"""How many findings stand under a broken budget."""
_LEAST_LATE: Final = 200 * MILLISECOND
_LATE: Final = (
    "the program took parts of an answer up to {span} late while it was recorded{place}. Its replay takes as long, and "
    "tells that time as the program's; if that was not meant, mend it and record again"
)
_TITLE: Final = "where the time went"
_MORE: Final = f"{'':<10}and {{number}} more: pytest --latency-explain lists them"


@final
@dataclass(frozen=True)
class Diagnosis:
    """The trace of some calls, the findings about it, and the judgements that both explain."""

    trace: Trace
    findings: tuple[Finding, ...]
    judgements: Sequence[Judgement]

    @classmethod
    def of(
        cls,
        sent: CallsInPhases,
        *,
        judgements: Sequence[Judgement],
        related: Iterable[Trace],
        replaced: Trace | None = None,
        nodeid: str = "",
        sample: int = 1,
        has_fault: bool = False,
    ) -> Diagnosis:
        """Return the diagnosis of these calls. `related` are the traces of other recordings, to compare with.

        `replaced` is the trace of the recording that a run which calls the API replaces. `has_fault` is as in a trace.
        """
        trace = Trace.of(
            sent.attempts, nodeid=nodeid, sample=sample, now=sent.now, holds=sent.find_holds(), lines=sent.lines
        )
        # Findings about small times count where a limit about them was broken.
        trace = trace.compared_with(
            related,
            {judgement.metric for judgement in judgements if judgement.broken and not judgement.limit.endpoint},
            replaced,
        )
        trace = replace(trace, has_fault=has_fault)
        return cls(trace, find(trace), judgements)

    def text(self) -> str:
        """Return the end of a failing message: the breakdowns that its limits are about, and the worst findings.

        Empty if no call was made.
        """
        trace = self.trace
        if not trace.order:
            return ""
        # Of a single call the test's own line says all. Of several, those that decided a broken limit are shown.
        calls: list[int] = []
        if len(trace.order) > 1:
            # of sessions no breakdown is made
            calls_alone = (judgement for judgement in self.judgements if judgement.limit.endpoint is None)
            broken = (judgement.call for judgement in calls_alone if judgement.broken)
            calls = sorted({call for call in broken if call is not None})
        broken_limits = [
            (judgement.metric, judgement.call)
            for judgement in self.judgements
            # what no call fits is mended by no faster call
            if judgement.broken and judgement.limit.endpoint is None and not judgement.fits_no_call
        ]
        return _section(_TITLE, trace, fitting(trace, broken_limits), calls)

    def breakdown(self) -> dict[str, Any]:
        """Return where time went, in JSON types: in the whole `test`, in each of its `calls`, and as `text`.

        `segments`, `path` and `path_segments` say when that was, for drawings; the latter two count from `origin`.
        """
        trace = self.trace
        return {
            "test": trace.breakdown.as_json(),
            "calls": [call.breakdown.as_json() for call in trace.calls],
            "origin": round(trace.origin / duration.SECOND, 6),
            "gaps": [
                [round(at / duration.SECOND, 6) for at in span] if (span := call.timeline.longest_gap_span) else None
                for call in trace.calls
            ],
            # a drawing needs to know when each part was, and not only how long it took
            "segments": [call.breakdown.segments_as_json() for call in trace.calls],
            "path": [
                {
                    "call": None if step.call is None else trace.order[step.call - 1],
                    "start": round(step.start / duration.SECOND, 6),
                    "end": round(step.end / duration.SECOND, 6),
                }
                for step in trace.breakdown.path
            ],
            "path_segments": trace.breakdown.segments_as_json(),
            "text": trace.breakdown.text() if trace.order else "",
        }


def of_recording(
    trace: Trace | None, related: Iterable[Trace], title: str, limit: Limit, reading: Nanoseconds | float
) -> str:
    """Return the end of a message about one recorded sample, under `title`; empty where nothing is known.

    `related` are the traces of other recordings, to compare with. `reading` is what the sample measured for the limit.
    """
    # without a request there is no time to explain
    if trace is None or not trace.order:
        return ""
    trace = trace.compared_with(related, {limit.metric} if limit.endpoint is None else ())
    number = None
    if METRICS[limit.metric].scope == "call" and trace.calls:
        # By what it measured: a recording does not say which calls are the test's own, and a fixture may make more.
        readings = {call.number: getattr(call.timeline, limit.metric) for call in trace.calls}
        distances = {
            number: 0 if value == reading or (value is None and reading == NEVER) else abs((value or 0) - reading)
            for number, value in readings.items()
        }
        number = min(distances, key=lambda number: distances[number])
    is_alone = len(trace.order) == 1 or number is None
    # of sessions no breakdown is made
    findings = fitting(trace, [(limit.metric, number)]) if limit.endpoint is None else ()
    return _section(title, trace, findings, () if is_alone or number is None else (number,))


def late_program(exchanges: Iterable[Exchange], holds: Sequence[Hold]) -> str | None:
    """Return that a recording says of the API what was the program's time; `None` where it took all parts in time."""
    late = [
        (end - start, exchange, (exchange.sent + start, exchange.sent + end))
        for exchange in exchanges
        if exchange.pauses or holds
        for start, end in late_spans(exchange, as_due(exchange, holds))
    ]
    span, exchange, (start, end) = max(late, key=lambda found: found[0], default=(0, None, (0, 0)))
    if exchange is None or span < _LEAST_LATE:
        return None
    waits = [
        hold
        for hold in holds
        if hold.lines and hold.thread == exchange.thread and hold.start < end and start < hold.end
    ]
    place = ""
    if waits:
        what, line = place_of_hold(max(waits, key=lambda hold: hold.length))
        place = f" ({what} at {line})"
    return _LATE.format(span=duration.show(span), place=place)


def _section(title: str, trace: Trace, findings: Sequence[Finding], calls: Iterable[int] = ()) -> str:
    # a program that reads on after the answer was complete takes longer than its only call
    longest = max((call.breakdown.total for call in trace.calls), default=trace.breakdown.total)
    is_call = len(trace.order) == 1 and trace.breakdown.total - longest < _LEAST_LATE
    lines = [f"{'call' if is_call else 'test':<10}{trace.breakdown.text()}"]
    lines += [f"{f'call {number}':<10}{trace.calls[number - 1].breakdown.text()}" for number in calls]
    lines += listing(findings[:_MOST])
    if len(findings) > _MOST:
        lines.append(_MORE.format(number=len(findings) - _MOST))
    return "\n\n" + "\n".join([title, *(f"  {line}" for line in lines)])
