"""Findings that fit a broken limit: only what can lower the metric that was too high, of the call that was too slow.

A true finding about something else sends its reader to the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import Trace

Broken = tuple[str, int | None]
"""The metric of a broken limit, and the number of the call that decided; None for the whole test."""

_FIRST: Final = frozenset({"ttfb", "ttft", "ttfa", "first_token"})
_LAST: Final = frozenset({"total", "elapsed"})
_PACE: Final = frozenset({"longest_gap", "tpot", "output_tokens_per_second"})
_TIMES: Final = _FIRST | _LAST
_LENGTH: Final = _LAST | {"output_tokens", "cost"}
_PROMPT: Final = _TIMES | {"prompt_tokens", "cache_read_tokens", "cost"}
LOWERS: Final[Mapping[str, frozenset[str]]] = {
    "not-streamed": frozenset({"ttft", "ttfa", "first_token"}),
    "much-output": _LENGTH,
    "cut-off": _LENGTH,
    "limit-far-above": frozenset(),
    "counted-words": _LENGTH,
    "uncached-prompt": _PROMPT,
    "cache-written-anew": _PROMPT,
    "cache-lost": _PROMPT,
    "cache-reset": _PROMPT,
    "prompt-grew": _PROMPT,
    "cold-fan-out": _PROMPT,
    "high-temperature": _LENGTH,
    "slower-model": _TIMES | _PACE | {"cost"},
    "long-thinking": _LENGTH | {"ttfa", "first_token", "thinking"},
    "silent-thinking": frozenset({"ttft", "longest_gap"}),
    "buffered-tool-input": _TIMES | _PACE | {"tools"},
    "one-after-another": frozenset({"elapsed"}),
    "retries": _TIMES | {"attempts", "retries"},
    "retry-storm": _TIMES | {"attempts", "retries", "calls"},
    "new-connections": _TIMES | {"connection"},
    "stall": _LAST | _PACE,
    "blocked-loop": _TIMES | _PACE | {"application"},
    "slow-consumer": _LAST | _PACE | {"application"},
    "application": frozenset({"elapsed", "first_token", "application"}),
}
"""The metrics that the remedy of each finding can lower (or raise, where a limit is a least)."""


def fitting(findings: Iterable[Finding], trace: Trace, broken: Iterable[Broken]) -> tuple[Finding, ...]:
    """Return the findings that can lower one of the broken metrics, the one that would save most there first."""
    limits = list(broken)
    found = []
    for finding in findings:
        costs = [cost for limit in limits if (cost := _cost_there(finding, trace, limit)) is not None]
        if costs:
            found.append(replace(finding, cost=max(costs)))
    return tuple(sorted(found, key=lambda finding: -finding.cost))


def _cost_there(finding: Finding, trace: Trace, broken: Broken) -> int | None:
    """Return the time that a finding is about, as far as it lies in what was too slow; None if it does not fit."""
    metric, number = broken
    metrics = {metric}
    if number is not None and number <= len(trace.calls) and not trace.calls[number - 1].timeline.streamed:
        # Its first token comes with its last, so what makes the whole shorter lowers that too.
        metrics |= {"total"} if metric in ("ttft", "ttfa") else set()
    if not metrics & LOWERS[finding.rule]:
        return None
    concerned = {number} if number is not None else trace.calls_on_path
    if finding.calls and not concerned.intersection(finding.calls):
        return None
    if not finding.costs:
        return finding.cost
    return sum(cost for call, cost in zip(finding.calls, finding.costs, strict=True) if call in concerned)
