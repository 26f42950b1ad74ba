"""Findings that fit a broken limit: only what can lower the metric that was too high, of the call that was too slow.

A true finding about something else sends its reader to the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.rules import find
from pytest_claude_latency.diagnosis.trace import Trace
from pytest_claude_latency.duration import Nanoseconds

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
    # A lower limit makes no answer shorter that ends by itself, so this is advice and mends no broken budget.
    "limit-far-above": frozenset(),
    "counted-words": _LENGTH,
    "uncached-prompt": _PROMPT,
    "cache-written-anew": _PROMPT,
    "cache-lost": _PROMPT,
    "cache-reset": _PROMPT,
    "prompt-grew": _PROMPT,
    "cache-expired": _PROMPT,
    "cache-look-back": _PROMPT,
    "cold-fan-out": _PROMPT,
    "many-tools": _PROMPT,
    "large-images": _PROMPT,
    # The API reads the whole conversation all the same: what is saved is time, not tokens.
    "growing-conversation": _TIMES,
    "high-temperature": _LENGTH,
    "slower-model": _TIMES | _PACE | {"cost"},
    "long-thinking": _LENGTH | {"ttfa", "first_token", "thinking"},
    # Thinking that is shown takes as long: the answer comes no sooner, but the first sign of life does.
    "silent-thinking": frozenset({"ttft", "longest_gap"}),
    "buffered-tool-input": _TIMES | _PACE | {"tools"},
    "server-tools": _TIMES | {"longest_gap", "tools", "cost"},
    # Fast mode brings more tokens a second, and no sooner first one.
    "standard-speed": _LAST | {"tpot", "output_tokens_per_second"},
    "extra-iteration": _TIMES | {"cost"},
    "schema-compilation": _TIMES,
    # A turn that is not needed makes no other one faster.
    "tool-round-trips": frozenset({"elapsed", "first_token", "calls", "cost"}),
    # No call becomes faster by running next to another; only the test does.
    "one-after-another": frozenset({"elapsed"}),
    "no-longer-together": frozenset({"elapsed", "first_token"}),
    "retries": _TIMES | {"attempts", "retries"},
    "retry-storm": _TIMES | {"attempts", "retries", "calls"},
    "retry-after-ignored": _TIMES | {"attempts", "retries", "calls"},
    "no-back-off": _TIMES | {"attempts", "retries", "calls"},
    "retried-in-vain": _TIMES | {"attempts", "retries", "calls"},
    # These say that an answer was lost, which no limit measures.
    "truncated-as-whole": frozenset(),
    "gave-up": frozenset(),
    "no-read-timeout": _TIMES | _PACE,
    "new-connections": _TIMES | {"connection"},
    # Not the first token: a gap is between two pieces, so the first one had come.
    "stall": _LAST | _PACE,
    "blocked-loop": _TIMES | _PACE | {"application"},
    "slow-consumer": _LAST | _PACE | {"application"},
    "application": frozenset({"elapsed", "first_token", "application"}),
}
"""The metrics that the remedy of each finding can lower (or raise, where a limit is a least)."""


def fitting(trace: Trace, broken: Iterable[Broken]) -> tuple[Finding, ...]:
    """Return the findings that can lower one of the broken metrics, the one that would save most there first."""
    findings: dict[str, Finding] = {}
    # What a call's limit is broken by is looked for in that call: the worst of all calls may be another one.
    for number, metrics in _metrics_by_call(broken).items():
        concerned = trace.calls_on_path if number is None else {number}
        if number is not None and number <= len(trace.calls) and not trace.calls[number - 1].timeline.streamed:
            # Its first token comes with its last, so what makes the whole shorter lowers that too.
            metrics.update({"total"} if metrics & {"ttft", "ttfa"} else ())
        for finding in find(replace(trace, judged=number)):
            is_of_test = not finding.calls and number is None
            if not (metrics & LOWERS[finding.rule] and (is_of_test or concerned.intersection(finding.calls))):
                continue
            # Only the time of the calls that this limit is about: a saving in another call would not mend it.
            cost = _cost_in(finding, concerned)
            if finding.cost and not cost:
                continue
            # of several broken limits the one where the remedy saves most: the finding is told once
            if finding.rule not in findings or cost > findings[finding.rule].cost:
                findings[finding.rule] = replace(finding, cost=cost)
    return tuple(sorted(findings.values(), key=lambda finding: -finding.cost))


def _cost_in(finding: Finding, calls: set[int]) -> Nanoseconds:
    if not finding.costs:
        return finding.cost
    return sum(cost for call, cost in zip(finding.calls, finding.costs, strict=True) if call in calls)


def _metrics_by_call(broken: Iterable[Broken]) -> dict[int | None, set[str]]:
    metrics: dict[int | None, set[str]] = {}
    for metric, number in broken:
        metrics.setdefault(number, set()).add(metric)
    return metrics
