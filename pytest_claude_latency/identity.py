"""Which test an item runs, and which of its samples.

Only pytest's own output shows the sample in a node id; recordings, reports and
the commands in messages name the test.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Identity:
    """One sample of one test."""

    nodeid: str
    """The node id of the test, without the sample."""
    sample: int = 1
    of: int = 1
    """How many samples of the test this run takes."""

    @property
    def test_id(self) -> str:
        """Class, function and parameters: the node id behind the file."""
        return self.nodeid.partition("::")[2]


_IDENTITY: pytest.StashKey[Identity] = pytest.StashKey()


def identity_of(item: pytest.Item) -> Identity:
    """The identity an item was given; any other is the only sample of itself."""
    return item.stash.get(_IDENTITY, None) or Identity(item.nodeid)


def is_given(item: pytest.Item) -> bool:
    """Whether it was decided which sample the item is."""
    return _IDENTITY in item.stash


def give(item: pytest.Item, identity: Identity) -> None:
    """Decide which sample the item is."""
    item.stash[_IDENTITY] = identity
