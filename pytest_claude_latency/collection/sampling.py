"""Samples as items: a latency test that is to run several times becomes so many items of its own.

They are made where a collector hands in what it found, as parametrized tests are. So are the variants of a test, each
of which has samples of its own. The sample is the last parametrization, the variant the one before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.budgets.percentile_judgement import never_settled
from pytest_claude_latency.cassettes.paths import samples as recorded_samples
from pytest_claude_latency.collection.identity import Identity, give, give_variant, identity_of, is_given
from pytest_claude_latency.collection.item_clone import clone
from pytest_claude_latency.collection.markers import budget_of, place_of, variants_of
from pytest_claude_latency.collection.selection import is_latency_test
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.settings import Mode, Settings


def expand(report: pytest.CollectReport, collector: pytest.Collector, settings: Settings) -> None:
    """Put an item for each variant and sample in the place of each latency test that a collector found.

    A test that the command line names by its parameters or variant and without a sample stands beside them, or pytest
    would not find what it was asked for. It goes when the session hands in all that was named.
    """
    chosen = () if isinstance(collector, pytest.Session) else collector.config.args
    report.result = _expanded(report.result, settings, {argument.partition("::")[2] for argument in chosen})


def _expanded(found: Sequence[Any], settings: Settings, named: Set[str]) -> list[Any]:
    expanded: list[Any] = []
    for node in found:
        if not isinstance(node, pytest.Function) or not _is_whole(node):
            expanded.append(node)
            continue
        for each in _as_written_and_varied(node, settings):
            asked_for = "[" in each.name and each.nodeid.partition("::")[2] in named
            expanded += [each] if asked_for else []
            if not asked_for or len(_numbers(each, settings)) > 1:
                expanded += _samples(each, settings)
    return expanded


def settle(items: list[pytest.Item], settings: Settings) -> None:
    """Let each sample be there once, also of tests that became latency tests after they were collected."""
    there: set[str] = set()
    settled: list[pytest.Item] = []
    for item in items:
        for each in _items(item, settings):
            identity = identity_of(each)
            if (identity.of == 1 and identity.variant is None) or each.nodeid not in there:
                there.add(each.nodeid)
                settled.append(each)
    items[:] = settled


def _items(item: pytest.Item, settings: Settings) -> list[pytest.Item]:
    """The items that run what `item` stands for."""
    if not isinstance(item, pytest.Function) or not _is_whole(item):
        return [item]
    return [sample for each in _as_written_and_varied(item, settings) for sample in _samples(each, settings)]


def _is_whole(item: pytest.Item) -> bool:
    """Whether an item still stands for all samples of a latency test, or of a variant of one."""
    return not is_given(item) and is_latency_test(item)


def _as_written_and_varied(item: pytest.Function, settings: Settings) -> list[pytest.Function]:
    """The test as it is written, and its variants where the run asks for them."""
    if not settings.variants or identity_of(item).variant is not None:
        return [item]
    varied = [item]
    with suppress(LatencyError):  # a marker that is not understood is said when the test is set up
        for variant in variants_of(item):
            varied.append(clone(item, variant.name))
            give_variant(varied[-1], item.nodeid, variant)
    return varied


def _samples(item: pytest.Function, settings: Settings) -> list[pytest.Function]:
    """The items that run the test's samples: itself where there is one."""
    numbers, whole = _numbers(item, settings), identity_of(item)
    if len(numbers) == 1:
        give(item, replace(whole, sample=numbers[0]))
        return [item]
    clones = []
    for number in numbers:
        clones.append(clone(item, f"sample-{number}"))
        give(clones[-1], replace(whole, sample=number, of=len(numbers)))
    return clones


def _numbers(item: pytest.Function, settings: Settings) -> Sequence[int]:
    """Which samples run. Only a replay looks at what is recorded: workers that record must all collect the same."""
    if settings.mode is not Mode.REPLAY:
        return range(1, (settings.samples or 1) + 1)
    recorded: list[int] = []
    with suppress(LatencyError):  # a marker that is not understood is said when the test is set up
        file, test_id = place_of(item, item.nodeid)
        paths = recorded_samples(file, settings.cassettes, test_id)
        recorded = [int(path.name.removesuffix(".jsonl").rpartition(".")[2]) for path in paths]
    return recorded[: settings.samples] or [1]


def identities(nodeids: Sequence[str]) -> Iterator[Identity]:
    """The samples among node ids, by their looks: a controller of workers sees no items."""
    for nodeid in nodeids:
        test, _, number = nodeid.rpartition("sample-")
        if test.endswith(("[", "-")) and number.endswith("]") and number[:-1].isdecimal():
            yield Identity(test[:-1] if test.endswith("[") else f"{test[:-1]}]", int(number[:-1]))


def unsettled(items: Sequence[pytest.Item], settings: Settings) -> list[str]:
    """Percentiles that so many samples can never show to hold, once for each test."""
    numbers = Counter(identity_of(item).nodeid for item in items)
    said: dict[str, None] = {}
    for item in items:
        if not is_latency_test(item) or identity_of(item).variant is not None:
            continue
        with suppress(LatencyError):  # said when the test is set up
            for limit in budget_of(item, settings.limits).percentiles:
                line = never_settled(limit, numbers[identity_of(item).nodeid])
                if line is not None:
                    said[line] = None
    return list(said)
