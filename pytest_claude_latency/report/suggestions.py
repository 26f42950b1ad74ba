"""Suggested budgets as text: Python to paste, in which everything that is no marker is a comment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pytest_claude_latency.metrics.metric import METRICS, show
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.results.budget_suggestion import Proposal, Suggestion, Suggestions, of_results

if TYPE_CHECKING:
    import pytest

    from pytest_claude_latency.results.result import TestResult

_RULE = "# Each limit is the worst sample and 25 % more, at least 50ms more, rounded up to two digits."
_USUAL = "# Of a p95 it is what these samples show at 95 % that p95 keeps, and the same margin."
_KEPT = "# A limit that stands already is never loosened."
_EXACT = "# A replay in virtual time measures the same every time: there the margin is room for the next recording."


def write(results: Iterable[TestResult], reporter: pytest.TerminalReporter) -> None:
    """Write the section; its lines are not wrapped, since they are there to be copied."""
    reporter.write_sep("=", "claude latency: budgets to start from")
    for line in lines(of_results(results)):
        reporter.write_line(line)


def lines(suggestions: Suggestions) -> list[str]:
    """The rule, a block for each test, and what was left out."""
    said = list(_rules(suggestions)) if suggestions.found else []
    for suggestion in suggestions.found:
        said += ["", *_block(suggestion)]
    if suggestions.left_out:
        said += [""] if said else []
        said += [f"# left out: {nodeid} ({reason})" for nodeid, reason in suggestions.left_out.items()]
    return said


def _rules(suggestions: Suggestions) -> Iterator[str]:
    yield _RULE
    if suggestions.percentiles:
        yield _USUAL
    yield _KEPT
    if suggestions.exact:
        yield _EXACT


def _block(suggestion: Suggestion) -> Iterator[str]:
    yield f"# {suggestion.nodeid}: {number_of(suggestion.samples, 'sample')}, {suggestion.kind}"
    for proposal in suggestion.proposals:
        yield f"#   {proposal.metric:<8} {_fact(proposal)}{_existing(proposal)}"
    if suggestion.changes:
        yield from suggestion.marker.splitlines()
    else:
        yield "#   nothing to change"


def _fact(proposal: Proposal) -> str:
    if proposal.measured is None:
        return str(proposal.reason)
    measured = show(METRICS[proposal.metric], proposal.measured)
    return f"{proposal.statistic} at most {measured}" if proposal.statistic else f"measured {measured}"


def _existing(proposal: Proposal) -> str:
    if not proposal.existing:
        return ""
    return ", now " + " ".join(limit.text() for limit in proposal.existing)
