"""Which test an item runs, as which of its variants, and which of its samples.

Only pytest's own output shows the sample in a node id; recordings, reports and
the commands in messages name the test. A variant counts as a test of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pytest

from pytest_claude_latency.budgets.budget import Budget
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.errors import FaultError
from pytest_claude_latency.measurement.variant import Variant

NO_RECORDING: Final = "the fault {id} returned {returned!r}; accepted: a function from a Recording to a Recording"


@dataclass(frozen=True, slots=True)
class FaultOfTest:
    """A fault that a test is run with, and what the test promises then."""

    id: str
    """What stands for it in node ids."""
    fault: Any
    """A function from a recording to a recording: a `Fault`, or one of the user's own."""
    budget: Budget
    has_own_id: bool = False
    """Whether the marker says what the id is."""
    option: str = ""
    """What `--latency-fault` says, where the fault comes from there; otherwise empty."""
    origin: str = ""
    """Its marker and where that stands; empty for one of the option."""

    def put_into(self, recording: Recording) -> Recording:
        """Return the recording with the fault in it.

        Raises:
            FaultError: it fits no call, or is a function of the user's own that returns something else.
        """
        try:
            changed = self.fault(recording)
        except FaultError as error:
            raise FaultError(error.problem, self.origin) from None
        if not isinstance(changed, Recording):
            raise FaultError(NO_RECORDING.format(id=self.id, returned=changed), self.origin)
        return changed


@dataclass(frozen=True, slots=True)
class Identity:
    """One sample of one test."""

    nodeid: str
    """The node id of the test, with its variant and without the sample."""
    sample: int = 1
    sample_count: int = 1
    """How many samples of the test this run takes."""
    variant: Variant | None = None
    """What the test is tried with; `None` where it runs as it is written."""
    fault: FaultOfTest | None = None
    """What the test is run with; `None` where nothing happens to it."""
    original_nodeid: str = ""
    """The node id of the test as it is written, where this is a variant of it or runs it with a fault."""

    @property
    def is_fair(self) -> bool:
        """Whether the test runs as it is written, and nothing happens to it. Only then its own budget counts."""
        return self.variant is None and self.fault is None

    @property
    def test_id(self) -> str:
        """What its recordings are called: class, function and parameters (the node id behind the file), and variant."""
        if self.variant is not None:
            return self.original_nodeid.partition("::")[2] + self.variant.name
        # A fault is put into the recording of the test as it is written, so it has the same name.
        return (self.nodeid if self.fault is None else self.original_nodeid).partition("::")[2]


# Two keys: an item that stands for a variant is given a sample later, or is cloned for its samples.
_SAMPLE: pytest.StashKey[Identity] = pytest.StashKey()
_VARIANT: pytest.StashKey[Identity] = pytest.StashKey()


def identity_of(item: pytest.Item) -> Identity:
    """Return the identity that an item was given. An item without one is the only sample of its test."""
    # the sample holds its variant too, so it comes first
    return item.stash.get(_SAMPLE, None) or item.stash.get(_VARIANT, None) or Identity(item.nodeid)


def is_sample(item: pytest.Item) -> bool:
    """Return whether it was decided which sample the item is."""
    return _SAMPLE in item.stash


def give(item: pytest.Item, identity: Identity) -> None:
    """Decide which sample the item is."""
    item.stash[_SAMPLE] = identity


def give_variant(item: pytest.Item, original_nodeid: str, variant: Variant) -> None:
    """Decide which variant of the test `original_nodeid` the item is. It stands for all samples of the variant."""
    item.stash[_VARIANT] = Identity(item.nodeid, variant=variant, original_nodeid=original_nodeid)
