"""Samples as items: a latency test that is to run several times becomes so many items of its own.

They are made where a collector hands in what it found, so that everything that
selects, orders or distributes items (`-k`, `--lf`, ids on the command line,
xdist) meets them like parametrized tests. The sample is the last parametrization.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import TestCase

import pytest

from pytest_claude_latency.cassette import samples as recorded_samples
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.identity import Identity, give, identity_of, is_given
from pytest_claude_latency.markers import budget_of, place_of
from pytest_claude_latency.options import Mode, Settings
from pytest_claude_latency.sample import never_settled
from pytest_claude_latency.selection import is_latency_test


def expand(report: pytest.CollectReport, collector: pytest.Collector, settings: Settings) -> None:
    """Put an item for each sample in the place of each latency test that a collector found.

    A test that the command line names by its parameters and without a sample stands beside them, or pytest would not
    find what it was asked for. It goes when the session hands in all that was named.
    """
    chosen = () if isinstance(collector, pytest.Session) else collector.config.args
    report.result = _expanded(report.result, settings, {argument.partition("::")[2] for argument in chosen})


def _expanded(found: Sequence[Any], settings: Settings, named: Set[str]) -> list[Any]:
    expanded: list[Any] = []
    for node in found:
        if not isinstance(node, pytest.Function) or not _is_whole(node):
            expanded.append(node)
            continue
        clones = _samples(node, settings)
        if clones != [node] and "[" in node.name and node.nodeid.partition("::")[2] in named:
            expanded.append(node)
        expanded += clones
    return expanded


def settle(items: list[pytest.Item], settings: Settings) -> None:
    """Let each sample be there once, also of tests that became latency tests after they were collected."""
    there: set[str] = set()
    settled: list[pytest.Item] = []
    for item in items:
        for each in _samples(item, settings) if isinstance(item, pytest.Function) and _is_whole(item) else [item]:
            if identity_of(each).of == 1 or each.nodeid not in there:
                there.add(each.nodeid)
                settled.append(each)
    items[:] = settled


def _is_whole(item: pytest.Item) -> bool:
    """Whether an item still stands for all samples of a latency test."""
    return not is_given(item) and is_latency_test(item)


def _samples(item: pytest.Function, settings: Settings) -> list[pytest.Function]:
    """The items that run the test's samples: itself where there is one."""
    numbers = _numbers(item, settings)
    if len(numbers) == 1:
        give(item, Identity(item.nodeid, numbers[0]))
        return [item]
    return [_clone(item, Identity(item.nodeid, number, len(numbers))) for number in numbers]


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


def _clone(item: pytest.Function, identity: Identity) -> pytest.Function:
    source: Any = item
    name = f"sample-{identity.sample}"
    spec = _callspec(source, name)
    clone: pytest.Function = _kind(type(item)).from_parent(
        item.parent,
        name=f"{item.originalname}[{spec.id}]",
        callspec=spec,
        fixtureinfo=source._fixtureinfo,
        keywords=_keywords(source, name),
        originalname=item.originalname,
    )
    clone.own_markers[:] = item.own_markers
    clone.extra_keyword_matches.update(item.extra_keyword_matches)
    clone.user_properties += item.user_properties
    give(clone, identity)
    return clone


def _callspec(item: Any, name: str) -> Any:
    """The item's parameters and the sample behind them; pytest makes node ids of this."""
    given = getattr(item, "callspec", None)
    if given is None:
        from _pytest import python

        kind: Any = getattr(python, "CallSpec", None) or python.CallSpec2
        given = kind()
    return replace(given, _idlist=[*given._idlist, name])


def _keywords(item: Any, name: str) -> dict[str, Any]:
    """What the item itself added to its keywords; those of its parents come with them."""
    inherited = set(item.parent.keywords) | {item.name}
    return {key: item.keywords[key] for key in item.keywords if key not in inherited} | {name: True}


class _OwnName:
    """A `TestCase` method under another name than its class knows it by."""

    def _getinstance(self: Any) -> TestCase:
        instance: TestCase = self.parent.obj(self.originalname)
        return instance

    def runtest(self: Any) -> None:
        shown, self.name = self.name, self.originalname
        try:
            super().runtest()  # type: ignore[misc]  # of the item's class
        finally:
            self.name = shown


@cache
def _kind(kind: type[pytest.Function]) -> type[pytest.Function]:
    """The class of an item's clones: its own, but for those that make an instance by the item's name."""
    from _pytest.unittest import TestCaseFunction

    if not issubclass(kind, TestCaseFunction):
        return kind
    return type(kind.__name__, (_OwnName, kind), {})


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
        if not is_latency_test(item):
            continue
        with suppress(LatencyError):  # said when the test is set up
            for limit in budget_of(item, settings.limits).percentiles:
                line = never_settled(limit, numbers[identity_of(item).nodeid])
                if line is not None:
                    said[line] = None
    return list(said)
