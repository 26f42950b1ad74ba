"""Compare every test that two runs have in common."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.exact import EXACT, compare_exactly
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.comparison.statistical import Pair, judge_all, pairs_of
from pytest_claude_latency.metrics.series import Series, refuse_other_kind


def compare(
    before: Mapping[str, Series], after: Mapping[str, Series], rules: Rules | None = None
) -> tuple[Comparison, ...]:
    """Compare every test that both sides hold, by node id; exactly where it was replayed in virtual time.

    Raises:
        LatencyError: a test was measured in another way before: a replay and a live run are never compared.
    """
    rules = rules or Rules()
    comparisons: list[Comparison] = []
    pairs: list[Pair] = []
    for nodeid in sorted(before.keys() & after.keys()):
        old, new = before[nodeid], after[nodeid]
        # a replay and a live run are read from different clocks
        refuse_other_kind(old, new)
        if new.exact:
            comparisons += compare_exactly(old, new, rules)
        else:
            pairs += pairs_of(old, new)
    comparisons += judge_all(pairs, rules)
    return tuple(sorted(comparisons, key=lambda comparison: (comparison.nodeid, EXACT.index(comparison.metric))))
