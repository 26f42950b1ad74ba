"""Clones: an item made from another, that runs the same test under a further parametrization.

Everything that selects, orders or distributes items (`-k`, `--lf`, ids on the
command line, xdist) meets them like parametrized tests.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any
from unittest import TestCase

import pytest


def clone(item: pytest.Function, name: str) -> pytest.Function:
    """An item like `item`, with `name` as the last of its parameters."""
    source: Any = item
    spec = _callspec(source, name)
    made: pytest.Function = _kind(type(item)).from_parent(
        item.parent,
        name=f"{item.originalname}[{spec.id}]",
        callspec=spec,
        fixtureinfo=source._fixtureinfo,
        keywords=_keywords(source, name),
        originalname=item.originalname,
    )
    made.own_markers[:] = item.own_markers
    made.extra_keyword_matches.update(item.extra_keyword_matches)
    made.user_properties += item.user_properties
    return made


def _callspec(item: Any, name: str) -> Any:
    """The item's parameters and the name behind them; pytest makes node ids of this."""
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

    if not issubclass(kind, TestCaseFunction) or issubclass(kind, _OwnName):
        return kind
    return type(kind.__name__, (_OwnName, kind), {})
