"""Which test an item runs, as which of its variants, and which of its samples.

Only pytest's own output shows the sample in a node id; recordings, reports and
the commands in messages name the test. A variant counts as a test of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_claude_latency.measurement.variant import Variant


@dataclass(frozen=True, slots=True)
class Identity:
    """One sample of one test."""

    nodeid: str
    """The node id of the test, with its variant and without the sample."""
    sample: int = 1
    of: int = 1
    """How many samples of the test this run takes."""
    variant: Variant | None = None
    """What it is tried with; None where it runs as it is written."""
    written: str = ""
    """The node id of the test as it is written, where this is a variant of it."""

    @property
    def test_id(self) -> str:
        """What its recordings are called: class, function and parameters, the node id behind the file; the variant."""
        if self.variant is None:
            return self.nodeid.partition("::")[2]
        return self.written.partition("::")[2] + self.variant.name


_IDENTITY: pytest.StashKey[Identity] = pytest.StashKey()
_WHOLE: pytest.StashKey[Identity] = pytest.StashKey()


def identity_of(item: pytest.Item) -> Identity:
    """The identity an item was given; any other is the only sample of itself."""
    return item.stash.get(_IDENTITY, None) or item.stash.get(_WHOLE, None) or Identity(item.nodeid)


def is_given(item: pytest.Item) -> bool:
    """Whether it was decided which sample the item is."""
    return _IDENTITY in item.stash


def give(item: pytest.Item, identity: Identity) -> None:
    """Decide which sample the item is."""
    item.stash[_IDENTITY] = identity


def give_variant(item: pytest.Item, written: str, variant: Variant) -> None:
    """Decide which variant of the test `written` the item is; it stands for all samples of it."""
    item.stash[_WHOLE] = Identity(item.nodeid, variant=variant, written=written)
