"""Suggested budgets as text: Python to paste, in which every line that is not part of a marker is a comment."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_claude_latency.metrics.metric import METRICS, show
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable, wrapped
from pytest_claude_latency.results.budget_suggestion import Proposal, Suggestions, of_results
from pytest_claude_latency.results.result import TestResult

_MARGIN = "# Each limit is the worst sample and 25 % more, at least 50ms more, rounded up to two digits."
_PERCENTILES = "# A limit on p95 is the lowest value that these samples show p95 to keep, at 95 %, and the same margin."
_EXISTING = "# An existing limit is never loosened."
_CACHES = "# Cold and warm prompt caches are kept apart; a limit covers both. A fixture can warm the cache for a test."
_FLAKY = "#   flaky    {}"
_HANG = "#" + " " * 12  # below the value of a fact
_LOOSE = 10
"""How many times what was measured a limit is that hardly any slowdown breaks, so that it may not mean what it says."""
_EXACT = "# A replay in virtual time measures the same every time: there the margin is room for the next recording."


def write(results: Iterable[TestResult], reporter: pytest.TerminalReporter) -> None:
    """Write the section."""
    reporter.write_sep("=", "claude latency: budgets to start from")
    for line in lines(of_results(results)):
        reporter.write_line(line)


def lines(suggestions: Suggestions) -> list[str]:
    """Return the rules, a block for each test, and what was left out."""
    # the rules come first: whoever pastes a limit should know where its number comes from
    texts: list[str] = []
    if suggestions.suggestions:
        percentiles = [_PERCENTILES] if suggestions.percentiles else []
        caches = [_CACHES] if suggestions.mixes_caches else []
        texts += [_MARGIN, *percentiles, _EXISTING, *([_EXACT] if suggestions.exact else []), *caches]
    for suggestion in suggestions.suggestions:
        samples = number_of(suggestion.samples, "sample")
        texts += ["", f"# {suggestion.nodeid}: {samples}, {suggestion.kind}"]
        for proposal in suggestion.proposals:
            if proposal.measured is None:
                fact = str(proposal.reason)
            else:
                measured = show(METRICS[proposal.metric], proposal.measured)
                fact = f"{proposal.statistic} at most {measured}" if proposal.statistic else f"measured {measured}"
            texts.append(f"#   {proposal.metric:<8} {fact}{_existing(proposal)}")
            for cache, count, bound in proposal.groups:
                span = show(METRICS[proposal.metric], bound)
                texts.append(f"#   {'':<8} {cache}, {number_of(count, 'sample')}: {span}")
        texts += [_FLAKY.format(flaky.text()) for flaky in suggestions.flaky.get(suggestion.nodeid, ())]
        texts += suggestion.marker.splitlines() if suggestion.changes else ["#   nothing to change"]
    if suggestions.left_out:
        texts += [""] if texts else []
        for nodeid, reason in suggestions.left_out.items():
            texts.append(f"# left out: {nodeid} ({reason})")
            texts += [_FLAKY.format(flaky.text()) for flaky in suggestions.flaky.get(nodeid, ())]
    folded: list[str] = []
    for text in map(printable, texts):
        comment = text.lstrip("# ")
        mark = text.removesuffix(comment)
        # a marker is there to be pasted
        folded += wrapped(comment, first=mark, following=_HANG if len(mark) > 2 else "#   ") if mark else [text]
    return folded


def _existing(proposal: Proposal) -> str:
    """Return the limits that a test has now, and by how much one is further off than any is meant to be."""
    if not proposal.existing:
        return ""
    tightest = min(limit.value for limit in proposal.existing)
    is_span = proposal.measured and METRICS[proposal.metric].kind == "duration"
    times = tightest // proposal.measured if is_span and proposal.measured else 0
    loose = f" ({times:,.0f} times as long: hardly any slowdown breaks it)" if times >= _LOOSE else ""
    return f", now {' '.join(limit.text() for limit in proposal.existing)}{loose}"
