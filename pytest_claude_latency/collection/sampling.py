"""Samples as items: a latency test that is to run several times becomes as many items.

They are made from what a collector hands in, as parametrized tests are. So are the variants of a test, each of which
has samples of its own, and its faults, which run once. The variant and the sample are the last parameters in a node id,
the sample behind the variant; a fault is the last one of its item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from pytest_claude_latency import required_names
from pytest_claude_latency.budgets.percentile_judgement import never_settled
from pytest_claude_latency.cassettes.paths import RecordedSamples
from pytest_claude_latency.collection.fault_counts import FaultCounts
from pytest_claude_latency.collection.faults import fault_items
from pytest_claude_latency.collection.identity import Identity, give, give_variant, identity_of, is_sample
from pytest_claude_latency.collection.item_clone import clone
from pytest_claude_latency.collection.markers import budget_of, place_of, variants_of
from pytest_claude_latency.collection.selection import FAULT_COUNTS, is_latency_test
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.settings import Mode, Settings


def expand(report: pytest.CollectReport, collector: pytest.Collector, settings: Settings) -> None:
    """Put an item for each variant, sample and fault in the place of each latency test that a collector found.

    A test that the command line names without its sample stays among them, or pytest would not find what it was asked
    for. `settle` takes it out when the session hands in all that was named.
    """
    arguments = () if isinstance(collector, pytest.Session) else collector.config.args
    named_tests = {argument.partition("::")[2] for argument in arguments}
    recorded = RecordedSamples(settings.cassettes)
    nodes: list[pytest.Item | pytest.Collector] = []
    for node in report.result:
        if not isinstance(node, pytest.Function) or not _stands_for_all_samples(node):
            nodes.append(node)
            continue
        for test in _test_and_variants(node, settings):
            is_named = "[" in test.name and test.nodeid.partition("::")[2] in named_tests
            if is_named:
                nodes.append(test)
            if not is_named or len(_sample_numbers(test, settings, recorded)) > 1:
                nodes += _samples(test, settings, recorded)
        nodes += fault_items(node, settings, collector.config.stash.setdefault(FAULT_COUNTS, FaultCounts()))
    # Replaced here, not in pytest_collection_modifyitems: `--lf`, `-k` and ids on the command line select among these.
    report.result = nodes


def settle(items: list[pytest.Item], settings: Settings) -> None:
    """Let each sample be there once, also of tests that became latency tests after they were collected."""
    recorded = RecordedSamples(settings.cassettes)
    nodeids: set[str] = set()
    settled: list[pytest.Item] = []
    for item in items:
        samples: Sequence[pytest.Item] = [item]
        if isinstance(item, pytest.Function) and _stands_for_all_samples(item):
            tests = _test_and_variants(item, settings)
            counts = item.config.stash.setdefault(FAULT_COUNTS, FaultCounts())
            faults = fault_items(item, settings, counts)
            samples = [*(sample for test in tests for sample in _samples(test, settings, recorded)), *faults]
        for sample in samples:
            identity = identity_of(sample)
            # Only what was made here can be there twice. What a user collects twice runs twice.
            is_only_sample = identity.sample_count == 1 and identity.is_fair
            if is_only_sample or sample.nodeid not in nodeids:
                nodeids.add(sample.nodeid)
                settled.append(sample)
    items[:] = settled


def let_faults_follow(items: list[pytest.Item]) -> None:
    """Move each fault that stands before its test behind the last sample of it: it replays what they record."""
    last = {identity_of(item).nodeid: place for place, item in enumerate(items) if identity_of(item).is_fair}

    def place_of_item(numbered: tuple[int, pytest.Item]) -> tuple[int, bool]:
        place, identity = numbered[0], identity_of(numbered[1])
        return (
            (place, False) if identity.fault is None else (max(place, last.get(identity.original_nodeid, place)), True)
        )

    items[:] = [item for _, item in sorted(enumerate(items), key=place_of_item)]


def _stands_for_all_samples(item: pytest.Item) -> bool:
    """Return whether an item stands for all samples of a latency test, or of a variant of one."""
    # Items are cloned by names of pytest's own. A version without them makes each test error when it is set up.
    return not is_sample(item) and is_latency_test(item) and required_names.are_there("pytest")


def _test_and_variants(item: pytest.Function, settings: Settings) -> list[pytest.Function]:
    """Return the test as it is written, and its variants where the run asks for them."""
    tests = [item]
    if settings.variants and identity_of(item).variant is None:
        with suppress(LatencyError):  # a marker that is not understood is reported when the test is set up
            for variant in variants_of(item):
                tests.append(clone(item, variant.name))
                give_variant(tests[-1], item.nodeid, variant)
    return tests


def _samples(item: pytest.Function, settings: Settings, recorded: RecordedSamples) -> list[pytest.Function]:
    """Return the items that run the test's samples: the item itself where there is one sample."""
    numbers, identity = _sample_numbers(item, settings, recorded), identity_of(item)
    if len(numbers) == 1:
        # Not always 1: a replay runs the samples that are recorded.
        give(item, replace(identity, sample=numbers[0]))
        return [item]
    clones = []
    for number in numbers:
        clones.append(clone(item, f"sample-{number}"))
        give(clones[-1], replace(identity, sample=number, sample_count=len(numbers)))
    return clones


def _sample_numbers(item: pytest.Function, settings: Settings, recorded: RecordedSamples) -> Sequence[int]:
    """Return which samples of the test run."""
    # Only a replay looks at what is recorded. Workers of a run that records must all collect the same, and another
    # worker may have begun to write.
    if settings.mode is not Mode.REPLAY:
        return range(1, (settings.samples or 1) + 1)
    numbers: list[int] = []
    with suppress(LatencyError):  # a marker that is not understood is reported when the test is set up
        numbers = recorded.of(*place_of(item, item.nodeid))
    # A test without a recording still runs once: its failure names the command that records it.
    return numbers[: settings.samples] or [1]


def identities(nodeids: Sequence[str]) -> Iterator[Identity]:
    """Yield the samples among node ids, told by their form alone: the controller of workers sees no items."""
    for nodeid in nodeids:
        test, _, number = nodeid.rpartition("sample-")
        # "[sample-2]", or "[small-sample-2]" behind parameters of the test's own
        if test.endswith(("[", "-")) and number.endswith("]") and number[:-1].isdecimal():
            yield Identity(test[:-1] if test.endswith("[") else f"{test[:-1]}]", int(number[:-1]))


def unsettled(items: Sequence[pytest.Item], settings: Settings) -> list[str]:
    """Return a line for each percentile that so few samples can never show to hold, with the first test that has it."""
    sample_counts = Counter(identity_of(item).nodeid for item in items)
    origins: dict[str, dict[str, None]] = {}  # a parametrized test would say it once for each of its parameters
    for item in items:
        identity = identity_of(item)
        if not is_latency_test(item) or not identity.is_fair:
            continue
        with suppress(LatencyError):  # a marker that is not understood is reported when the test is set up
            for limit in budget_of(item, settings.limits).percentiles:
                count = sample_counts[identity.nodeid]
                line = never_settled(limit, count, is_sequential=settings.is_sequential)
                if line is not None:
                    origins.setdefault(line, {})[limit.origin] = None
    lines = []
    for line, (first, *others) in origins.items():
        more = f" and {len(others)} more" if others else ""
        lines.append(f"{line} ({first}{more})")
    return lines
