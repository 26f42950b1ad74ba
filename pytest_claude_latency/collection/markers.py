"""Markers: what a test item promises, and how its recording is kept.

pytest yields the function's marks before those of `pytest.param` and a base
class's before its subclass's. A promise made closer to the test wins, so the
order is set here: parameter, function, class (derived before base), module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.budgets.budget import Budget, combine
from pytest_claude_latency.budgets.limit import Limit, parse_marker
from pytest_claude_latency.cassettes.matching import Rules
from pytest_claude_latency.collection.identity import identity_of
from pytest_claude_latency.collection.selection import BUDGET, CASSETTE, VARIANTS
from pytest_claude_latency.errors import LimitError, VariantError
from pytest_claude_latency.measurement.variant import Variant, parse
from pytest_claude_latency.near_names import did_you_mean

OWNERS: pytest.StashKey[Mapping[tuple[Path, str], list[str]]] = pytest.StashKey()
"""The tests that write each shared recording, as `owners` returns them, in the stash of the config."""

ACCEPTED_ARGUMENTS = "accepted: name=, owner=, ignore=, repeat="
ACCEPTED_VALUES = 'accepted: name=text, owner=True or False, ignore=("metadata.user_id", ...), repeat=True or False'
OWNER_WITHOUT_NAME = "owner=True needs name=, the name of the recording it writes"


@dataclass(frozen=True, slots=True)
class CassetteMarker:
    """`@latency_cassette(...)`: whose recording a test uses, and how requests are matched with it."""

    name: str | None = None
    owner: bool = False
    ignore: tuple[str, ...] = ()
    repeat: bool = False

    @property
    def is_borrowed(self) -> bool:
        """Whether another test writes the recording."""
        return self.name is not None and not self.owner

    @property
    def rules(self) -> Rules:
        """How requests are matched with the recording."""
        return Rules(self.ignore, self.repeat)


def budget_of(item: pytest.Item, further: tuple[Limit, ...]) -> Budget:
    """Return what the test promises. `further` are the limits of the run, which every marker outranks.

    Raises:
        LimitError: a marker is not understood; names the marker's place and the accepted forms.
    """
    # All markers are parsed, also those that a closer one outranks: a misspelt limit is never let pass.
    layers: list[Any] = []
    for mark, place in marks_of(item, BUDGET):
        origin = f"@{BUDGET} on {place}"
        layers.append(parse_marker(mark.kwargs, origin, mark.args))
    return combine([*layers, further])


def promises_directly(item: pytest.Item) -> bool:
    """Return whether the budget stands on the function or its parameters, not on a class or module."""
    return any(mark.name == BUDGET for mark in item.own_markers)


def is_bare(item: pytest.Item) -> bool:
    """Return whether the budget stands on the function or its parameters and names no metric, not even with `None`."""
    own_marks = [mark for mark in item.own_markers if mark.name == BUDGET]
    return bool(own_marks) and not any(mark.kwargs for mark in own_marks)


def cassette_marker_of(item: pytest.Item) -> CassetteMarker:
    """Return how the test's recording is kept. For each argument, the closest `latency_cassette` that has it decides.

    Raises:
        LimitError: a marker has an argument it does not know, or of the wrong type.
    """
    arguments: dict[str, Any] = {}
    for mark, place in marks_of(item, CASSETTE):
        origin = f"@{CASSETTE} on {place}"
        if mark.args:
            raise LimitError(f"it takes no positional argument; {ACCEPTED_ARGUMENTS}", origin)
        for name, value in mark.kwargs.items():
            if name not in CassetteMarker.__dataclass_fields__:
                hint = did_you_mean(name, CassetteMarker.__dataclass_fields__, form="{}=")
                raise LimitError(f"unknown argument {name!r}{hint}; {ACCEPTED_ARGUMENTS}", origin)
            if not _is_argument(name, value):
                raise LimitError(f"{name}={value!r} is not understood; {ACCEPTED_VALUES}", origin)
        # The closest comes first, so what is there already wins.
        arguments = {**mark.kwargs, **arguments}
    marker = CassetteMarker(**{**arguments, "ignore": tuple(arguments.get("ignore", ()))})
    if identity_of(item).variant is not None:  # a variant never shares: it has recordings of its own
        return replace(marker, name=None, owner=False)
    if marker.owner and marker.name is None:
        raise LimitError(OWNER_WITHOUT_NAME, f"@{CASSETTE} on {identity_of(item).nodeid}")
    return marker


def _is_argument(name: str, value: object) -> bool:
    """Return whether `latency_cassette` takes a value under this name."""
    if name == "name":
        return value is None or (isinstance(value, str) and bool(value))
    if name == "ignore":
        return isinstance(value, list | tuple) and all(isinstance(path, str) for path in value)
    return isinstance(value, bool)


def variants_of(item: pytest.Item) -> tuple[Variant, ...]:
    """Return the variants that the test declares. The marker that stands closest decides.

    Raises:
        VariantError: a marker is not understood; names its place and the accepted forms.
    """
    declared = [
        (parse(mark.args, mark.kwargs, f"@{VARIANTS} on {place}"), place) for mark, place in marks_of(item, VARIANTS)
    ]
    closest = [variant for variants, place in declared if place == declared[0][1] for variant in variants]
    by_name = {variant.name: variant for variant in closest}
    for variant in closest:
        if variant != by_name[variant.name]:
            origin = f"@{VARIANTS} on {declared[0][1]}"
            raise VariantError(f"{variant.name} is declared twice, with another when=", origin)
    return tuple(by_name.values())


def marks_of(item: pytest.Item, name: str) -> Iterator[tuple[pytest.Mark, str]]:
    """Yield the item's marks called `name` and where each stands, the closest first."""
    if own_marks := [mark for mark in item.own_markers if mark.name == name]:
        callspec = getattr(item, "callspec", None)
        identity = identity_of(item)
        nodeid = identity.nodeid if identity.fault is None else identity.original_nodeid
        # pytest puts the marks of `pytest.param` behind those of the function. By identity, since equal marks may stand
        # on both.
        of_parameters = {id(mark) for mark in callspec.marks} if callspec is not None else set()
        yield from ((mark, nodeid) for mark in own_marks if id(mark) in of_parameters)
        yield from ((mark, nodeid) for mark in own_marks if id(mark) not in of_parameters)
    # A class before its module, the module before its packages.
    for node in reversed(item.listchain()[:-1]):
        if not node.own_markers:  # what a class has from its bases is among them
            continue
        marks: list[tuple[pytest.Mark, str]] = [(mark, node.nodeid or "the session") for mark in node.own_markers]
        if isinstance(node, pytest.Class):
            inherited = _inherited_marks(node)
            inherited_ids = {id(mark) for mark, _ in inherited}
            marks = [(mark, place) for mark, place in marks if id(mark) not in inherited_ids] + inherited
        yield from ((mark, place) for mark, place in marks if mark.name == name)


def _inherited_marks(node: pytest.Class) -> list[tuple[pytest.Mark, str]]:
    """Return the marks that a class has from its bases, each with the name of the class it stands on."""
    marks: list[tuple[pytest.Mark, str]] = []
    own_ids = {id(mark) for mark in node.own_markers}
    for ancestor in node.obj.__mro__[1:]:
        if ancestor.__module__ == node.obj.__module__:  # as node ids name classes
            place = "::".join([node.nodeid.partition("::")[0], *ancestor.__qualname__.split(".")])
        else:
            place = f"{ancestor.__module__}.{ancestor.__qualname__}"
        # From `__dict__`, since an attribute would come from the bases too. One mark may stand there without a list.
        listed = ancestor.__dict__.get("pytestmark", [])
        for decorator in listed if isinstance(listed, list) else [listed]:
            mark = decorator.mark if isinstance(decorator, pytest.MarkDecorator) else decorator
            if id(mark) in own_ids:
                marks.append((mark, place))
    return marks


def shared_file(item: pytest.Item) -> Path:
    """Return the file in whose place shared recordings lie: one folder serves all test files next to it."""
    # No test module has this name, so the recordings never meet those of one.
    return item.path.with_name("@shared.py")


def place_of(item: pytest.Item, nodeid: str, marker: CassetteMarker | None = None) -> tuple[Path, str]:
    """Return the file next to which the recording of the test `nodeid` lies, and what it is called there.

    `marker` is what `cassette_marker_of` says of the item, where that is known.

    Raises:
        LimitError: a `latency_cassette` is not understood.
    """
    name, identity = (marker or cassette_marker_of(item)).name, identity_of(item)
    if identity.variant is not None:
        return item.path, identity.test_id
    return (item.path, nodeid.partition("::")[2]) if name is None else (shared_file(item), name)


def owners(items: Iterable[pytest.Item]) -> dict[tuple[Path, str], list[str]]:
    """Return which tests write each shared recording, by `shared_file` and name. A good suite has one test for each."""
    nodeids: dict[tuple[Path, str], dict[str, None]] = {}
    for item, shared, is_owner in _sharing(items):
        if is_owner:  # a dict, since each sample of a test is an item
            nodeids.setdefault(shared, {})[identity_of(item).nodeid] = None
    return {shared: list(tests) for shared, tests in nodeids.items()}


def let_owners_go_first(items: list[pytest.Item]) -> None:
    """Move the owner of each shared recording before the first test that reads it, so that one run can record both."""
    first_readers: dict[tuple[Path, str], pytest.Item] = {}
    for item, shared, is_owner in list(_sharing(items)):  # all of them first: the loop moves items
        if not is_owner:
            first_readers.setdefault(shared, item)
        elif (reader := first_readers.get(shared)) is not None:
            items.remove(item)
            items.insert(items.index(reader), item)


def _sharing(items: Iterable[pytest.Item]) -> Iterator[tuple[pytest.Item, tuple[Path, str], bool]]:
    """Yield the items that share a recording, each with its `shared_file` and name, and whether it is the owner."""
    for item in items:
        if item.get_closest_marker(CASSETTE) is None or identity_of(item).fault is not None:
            continue
        with suppress(LimitError):  # reported when the test is set up
            marker = cassette_marker_of(item)
            if marker.name is not None:
                yield item, (shared_file(item), marker.name), marker.owner
