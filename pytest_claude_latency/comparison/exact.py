"""Exact comparisons: two replays in virtual time, where any change is real.

Such replays differ only if the program or its recordings do, so one sample is enough and no test is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from pytest_claude_latency.comparison.call_changes import beyond, call_changes
from pytest_claude_latency.comparison.comparison import Comparison, Verdict
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Series

MEASURED = ("ttft", "total", "elapsed")
"""The metrics that are compared in every comparison."""
EXACT = (*MEASURED, "calls", "prompt_tokens", "output_tokens")
"""The metrics of exact comparisons. Tokens are those of all calls of a test together."""


def compare_exactly(before: Series, after: Series, rules: Rules) -> Iterator[Comparison]:
    """Compare each metric of `EXACT` that both sides have. Each sample is compared with the one of its number."""
    tolerance = Decimal(repr(rules.tolerance))  # 0.1 as it was written, not the nearest binary fraction
    earlier = {sample.number: sample for sample in before.samples}
    pairs = [(earlier[sample.number], sample) for sample in after.samples if sample.number in earlier]
    notes = tuple(
        change.text if len(pairs) == 1 else f"sample {old.number}: {change.text}"
        for old, new in pairs
        for change in call_changes(old, new, tolerance)
    )
    for metric in EXACT:
        readings = [(reading(old, metric), reading(new, metric)) for old, new in pairs]
        measured = [(old, new) for old, new in readings if old is not None and new is not None]
        if not measured:
            continue
        changed = [(old, new) for old, new in measured if beyond(old, new, tolerance)]
        verdict: Verdict = "improvement" if changed else "unchanged"
        # one slower sample is real, and no faster one makes up for it
        if any(METRICS[metric].worse(new, old) for old, new in changed):
            verdict = "regression"
        earlier_side, later_side = zip(*measured, strict=True)
        yield Comparison(
            nodeid=after.nodeid, metric=metric, verdict=verdict, before=earlier_side, after=later_side, notes=notes
        )


def reading(sample: Sample, metric: str) -> float | None:
    """Return a sample's value of one of `EXACT`: nanoseconds or a count.

    `NEVER` where the awaited moment did not come; None where there was nothing to measure.
    """
    if metric == "calls":
        return len(sample.calls)
    if METRICS[metric].kind == "duration":
        return sample.reading(METRICS[metric])
    # each metric of a call is a field of the same name
    reported = [value for call in sample.calls if (value := getattr(call, metric)) is not None]
    return sum(reported) if reported else None
