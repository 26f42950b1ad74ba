"""Clones: an item made from another, which runs the same test under a further parametrization.

pytest selects, orders and distributes clones (`-k`, `--lf`, ids on the command
line, xdist) as it does parametrized tests. They are made by hand, since
`pytest_generate_tests` never sees the methods of a `TestCase`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any
from unittest import TestCase

import pytest


def clone(item: pytest.Function, name: str) -> pytest.Function:
    """Return an item like `item`, with `name` as the last of its parameters."""
    source: Any = item
    callspec = getattr(source, "callspec", None)
    if callspec is None:
        from _pytest import python

        # Its name depends on pytest's version.
        callspec_class: Any = getattr(python, "CallSpec", None) or python.CallSpec2
        callspec = callspec_class()
    # pytest makes node ids of this list.
    callspec = replace(callspec, _idlist=[*callspec._idlist, name])
    # Only what the item itself added: keywords of its parents come with them.
    inherited = set(source.parent.keywords) | {item.name}
    keywords = {key: source.keywords[key] for key in source.keywords if key not in inherited}
    cloned: pytest.Function = _clone_class(type(item)).from_parent(
        item.parent,
        name=f"{item.originalname}[{callspec.id}]",
        callspec=callspec,
        fixtureinfo=source._fixtureinfo,
        keywords=keywords | {name: True},
        originalname=item.originalname,
    )
    # pytest built these anew from the function, without what plugins and conftests added to the item.
    cloned.own_markers[:] = item.own_markers
    cloned.extra_keyword_matches.update(item.extra_keyword_matches)
    cloned.user_properties += item.user_properties
    return cloned


class _OwnName:
    """A `TestCase` method under another name than its class knows it by."""

    # pytest makes a TestCase by the name of its method: each clone gets an instance of its own.
    def _getinstance(self: Any) -> TestCase:
        instance: TestCase = self.parent.obj(self.originalname)
        return instance

    def runtest(self: Any) -> None:
        clone_name, self.name = self.name, self.originalname
        try:
            super().runtest()  # type: ignore[misc]  # of the item's class
        finally:
            self.name = clone_name


@cache
def _clone_class(item_class: type[pytest.Function]) -> type[pytest.Function]:
    """Return the class of an item's clones.

    That is the item's own class, but for a `TestCase`: pytest makes its instance by the item's name, which for a clone
    is no method of the class. Cached, or each clone would get a class of its own.
    """
    from _pytest.unittest import TestCaseFunction

    # The clone of a variant is cloned again for its samples, and has the class by then.
    if not issubclass(item_class, TestCaseFunction) or issubclass(item_class, _OwnName):
        return item_class
    return type(item_class.__name__, (_OwnName, item_class), {})
