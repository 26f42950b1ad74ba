"""Judgements: a limit held against what was measured, and the message a broken one fails with.

The message speaks in the order a reader asks: the verdict, the promise and
where it was made, the measurement, and the moments of the call that decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.metrics.call_text import describe, milliseconds, moments
from pytest_claude_latency.metrics.metric import METRICS, RATE_UNIT, show
from pytest_claude_latency.metrics.timeline import Call

Verdict: TypeAlias = Literal["kept", "broken", "no calls", "not measured", "not judged"]

NO_CALL = "no prompt call was made"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One limit held against what was measured.

    `measured` is in the unit of the limit (nanoseconds for durations); None where there was nothing to measure, and
    `reason` then says what did not happen. `call` is the number, from 1, of the call that decided, among `call_count`
    calls; None for a limit on the whole test.
    """

    limit: Limit
    measured: int | float | None
    call: int | None
    call_count: int
    verdict: Verdict
    reason: str | None = None

    @property
    def metric(self) -> str:
        """The metric that was judged."""
        return self.limit.metric

    @property
    def statistic(self) -> str | None:
        """The percentile that was judged; None for a limit that every sample must keep."""
        return self.limit.statistic

    @property
    def origin(self) -> str:
        """Where the limit was written."""
        return self.limit.origin

    @property
    def at_most(self) -> bool:
        """Whether the limit bounds the metric from above."""
        return METRICS[self.metric].direction == "at most"

    @property
    def broken(self) -> bool:
        """Whether the promise was not kept."""
        return self.verdict == "broken"


def message(judgements: Sequence[Judgement], calls: Sequence[Call], recording: str | None) -> str:
    """What a test fails with: a block for each broken limit, the worst first. `recording` is the file replayed.

    Each block gives the verdict, then the budget and where it was written, the measurement and the evidence.
    """
    broken = sorted((each for each in judgements if each.broken), key=_severity, reverse=True)
    silent = [each for each in broken if each.reason == NO_CALL]
    blocks = [_silence(silent)] if silent else []
    blocks += [_block(each, calls, recording) for each in broken if each.reason != NO_CALL]
    return "\n\n".join("\n".join(block) for block in blocks)


def _severity(judgement: Judgement) -> float:
    """By what factor the limit was missed; what never came is infinitely late."""
    limit, measured = judgement.limit.value, judgement.measured
    if measured is None:
        return float("inf")
    over, under = (measured, limit) if judgement.at_most else (limit, measured)
    return over / under if under else float("inf")


def _silence(judgements: Sequence[Judgement]) -> list[str]:
    return [
        "no prompt call was made, so the budget promises nothing",
        *(_line("budget", each.limit.text(), each.origin) for each in judgements),
        _line("measured", "0 calls", "is the client mocked away, or an await forgotten?"),
        _line("accept", "calls=0", "promises that no call is made"),
    ]


def _block(judgement: Judgement, calls: Sequence[Call], recording: str | None) -> list[str]:
    lines = [headline(judgement), _line("budget", judgement.limit.text(), judgement.origin)]
    measured = _measured(judgement)
    if judgement.call is None:
        lines.append(_line("measured", measured, "all calls together"))
        lines += _overview(calls)
    else:
        call = calls[judgement.call - 1]
        lines.append(_line("measured", measured, f"call {judgement.call} of {judgement.call_count}, {describe(call)}"))
        lines.append(_line("timeline", moments(call)))
    return lines if recording is None else [*lines, _line("recording", recording)]


def _line(label: str, fact: str, source: str = "") -> str:
    return f"  {label:<10}{fact:<27}  {source}".rstrip()


def headline(judgement: Judgement) -> str:
    """The verdict on a broken limit in one line."""
    metric, limit = METRICS[judgement.metric], judgement.limit
    if judgement.measured is None:
        return f"{metric.name} has no value, {judgement.reason}: it breaks the budget of {limit.value_text()}"
    verb = "were" if metric.kind == "count" else "was"
    side = "over" if judgement.at_most else "under"
    miss = show(metric, abs(judgement.measured - limit.value)).removesuffix(RATE_UNIT)
    return f"{metric.name} {verb} {_measured(judgement)}, {miss} {side} the budget of {limit.value_text()}"


def _measured(judgement: Judgement) -> str:
    """The measurement as text, with all its digits where rounding would make it look like its limit."""
    metric, measured = METRICS[judgement.metric], judgement.measured
    if measured is None:
        return str(judgement.reason)
    text = show(metric, measured)
    if text != show(metric, judgement.limit.value):
        return text
    return duration.exact(int(measured)) if metric.kind == "duration" else f"{measured}{RATE_UNIT}"


def _overview(calls: Sequence[Call], most: int = 8) -> list[str]:
    """A line for each call, on the clock of the test; of many calls the first ones."""
    lines = []
    for number, call in enumerate(calls[:most], start=1):
        end = "not ended" if call.total is None else f"end {milliseconds(call.sent + call.total)}"
        label = "timeline" if number == 1 else ""
        lines.append(_line(label, f"call {number}  sent {milliseconds(call.sent)} · {end}", call.model or ""))
    return lines if len(calls) <= most else [*lines, _line("", f"and {len(calls) - most} more")]
