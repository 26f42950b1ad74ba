"""Markers: what a test item promises, and how its recording is kept.

pytest yields the function's marks before those of `pytest.param` and a base
class's before its subclass's. A promise made closer to the test wins, so the
order is set here: parameter, function, class (derived before base), module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.budgets.budget import Budget, combine
from pytest_claude_latency.budgets.limit import Limit, parse_marker
from pytest_claude_latency.collection.identity import identity_of
from pytest_claude_latency.collection.selection import BUDGET, CASSETTE, VARIANTS
from pytest_claude_latency.errors import LimitError, VariantError
from pytest_claude_latency.measurement.variant import Variant, parse

OWNERS: pytest.StashKey[Mapping[tuple[Path, str], list[str]]] = pytest.StashKey()
"""The tests that write each shared recording, as `owners` returns them, in the stash of the config."""


@dataclass(frozen=True, slots=True)
class Cassette:
    """`@latency_cassette(...)`: whose recording a test uses, and how requests are matched with it."""

    name: str | None = None
    owner: bool = False
    ignore: tuple[str, ...] = ()
    repeat: bool = False


def budget_of(item: pytest.Item, further: tuple[Limit, ...]) -> Budget:
    """What the test promises; `further` are the limits of the run, which any marker outranks.

    Raises:
        LimitError: a marker is not understood; names the marker's place and the accepted forms.
    """
    layers: list[Any] = []
    for mark, place in _marks(item, BUDGET):
        origin = f"@{BUDGET} on {place}"
        layers.append(parse_marker(mark.kwargs, origin, mark.args))
    return combine([*layers, further])


def promises_directly(item: pytest.Item) -> bool:
    """Whether the marker stands on the function or its parameters, not further out."""
    return any(mark.name == BUDGET for mark in item.own_markers)


def is_bare(item: pytest.Item) -> bool:
    """Whether the marker stands on the function or its parameters and names no metric there, not even to lift it."""
    own = [mark for mark in item.own_markers if mark.name == BUDGET]
    return bool(own) and not any(mark.kwargs for mark in own)


def cassette_of(item: pytest.Item) -> Cassette:
    """How the test's recording is kept; the closest `latency_cassette` decides, argument by argument.

    Raises:
        LimitError: a marker has an argument it does not know, or of the wrong type.
    """
    known = {field.name: field for field in fields(Cassette)}
    chosen: dict[str, Any] = {}
    for mark, place in _marks(item, CASSETTE):
        _check_cassette(mark, place, set(known))
        chosen = {**mark.kwargs, **chosen}
    cassette = Cassette(**{**chosen, "ignore": tuple(chosen.get("ignore", ()))})
    if identity_of(item).variant is not None:  # it has recordings of its own
        return replace(cassette, name=None, owner=False)
    if cassette.owner and cassette.name is None:
        raise LimitError(
            f"@{CASSETTE} on {identity_of(item).nodeid}: owner=True needs name=, the name of the recording it writes"
        )
    return cassette


def variants_of(item: pytest.Item) -> tuple[Variant, ...]:
    """The variants that the test declares; the marker that stands closest decides.

    Raises:
        VariantError: a marker is not understood; names its place and the accepted forms.
    """
    declared = [
        (parse(mark.args, mark.kwargs, f"@{VARIANTS} on {place}"), place) for mark, place in _marks(item, VARIANTS)
    ]
    closest = [variant for variants, place in declared if place == declared[0][1] for variant in variants]
    named = {variant.name: variant for variant in closest}
    if twice := next((each for each in closest if each != named[each.name]), None):
        raise VariantError(f"@{VARIANTS} on {declared[0][1]}: {twice.name} is declared twice, with another when=")
    return tuple(named.values())


def _check_cassette(mark: pytest.Mark, place: str, known: set[str]) -> None:
    origin = f"@{CASSETTE} on {place}"
    if mark.args:
        raise LimitError(f"{origin} takes no positional argument; accepted: name=, owner=, ignore=, repeat=")
    for key, value in mark.kwargs.items():
        if key not in known:
            raise LimitError(f"{origin}: unknown argument {key!r}; accepted: name=, owner=, ignore=, repeat=")
        if not _fits(key, value):
            raise LimitError(
                f"{origin}: {key}={value!r} is not understood; accepted: name=text, owner=True or False, "
                'ignore=("metadata.user_id", ...), repeat=True or False'
            )


def _fits(key: str, value: object) -> bool:
    if key == "name":
        return value is None or (isinstance(value, str) and bool(value))
    if key == "ignore":
        return isinstance(value, list | tuple) and all(isinstance(path, str) for path in value)
    return isinstance(value, bool)


def _marks(item: pytest.Item, name: str) -> Iterator[tuple[pytest.Mark, str]]:
    """The item's marks called `name` and where each stands, the closest first."""
    callspec = getattr(item, "callspec", None)
    of_parameters = list(callspec.marks) if callspec is not None else []
    own, nodeid = [mark for mark in item.own_markers if mark.name == name], identity_of(item).nodeid
    yield from ((mark, nodeid) for mark in own if any(mark is each for each in of_parameters))
    yield from ((mark, nodeid) for mark in own if not any(mark is each for each in of_parameters))
    for node in reversed(item.listchain()[:-1]):
        places = _derived_first(node) if isinstance(node, pytest.Class) else _as_they_stand(node)
        yield from ((mark, place) for mark, place in places if mark.name == name)


def _as_they_stand(node: Any) -> list[tuple[pytest.Mark, str]]:
    return [(mark, node.nodeid or "the session") for mark in node.own_markers]


def _derived_first(node: pytest.Class) -> list[tuple[pytest.Mark, str]]:
    """A class's marks with those of its bases last, each under the name of the class it stands on."""
    inherited: list[tuple[pytest.Mark, str]] = []
    for ancestor in node.obj.__mro__[1:]:
        marks = ancestor.__dict__.get("pytestmark", [])
        listed = marks if isinstance(marks, list) else [marks]
        place = _name_of(ancestor, node)
        inherited += [(each.mark if isinstance(each, pytest.MarkDecorator) else each, place) for each in listed]
    own = [(mark, place) for mark, place in _as_they_stand(node) if not any(mark is each for each, _ in inherited)]
    return own + [(mark, place) for mark, place in inherited if any(mark is each for each in node.own_markers)]


def _name_of(ancestor: type, node: pytest.Class) -> str:
    """A base class as node ids name classes, or by its module where that is another one."""
    if ancestor.__module__ != node.obj.__module__:
        return f"{ancestor.__module__}.{ancestor.__qualname__}"
    file = node.nodeid.partition("::")[0]
    return "::".join([file, *ancestor.__qualname__.split(".")])


def shared_file(item: pytest.Item) -> Path:
    """The file in whose place shared recordings lie: one folder for all the test files beside it."""
    return item.path.with_name("@shared.py")


def place_of(item: pytest.Item, nodeid: str) -> tuple[Path, str]:
    """The file beside which the recording of the test `nodeid` lies, and what it is called there.

    Raises:
        LimitError: a `latency_cassette` is not understood.
    """
    name, identity = cassette_of(item).name, identity_of(item)
    if identity.variant is not None:
        return item.path, identity.test_id
    return (item.path, nodeid.partition("::")[2]) if name is None else (shared_file(item), name)


def owners(items: Iterable[pytest.Item]) -> dict[tuple[Path, str], list[str]]:
    """Which tests write each shared recording, by `shared_file` and name; a good suite has one for each."""
    found: dict[tuple[Path, str], list[str]] = {}
    for item, shared, owner in _sharing(items):
        if owner:
            claims = found.setdefault(shared, [])
            if (nodeid := identity_of(item).nodeid) not in claims:
                claims.append(nodeid)
    return found


def let_owners_go_first(items: list[pytest.Item]) -> None:
    """Move the owner of each shared recording before the first test that reads it, so that one run can record both."""
    first: dict[tuple[Path, str], pytest.Item] = {}
    for item, shared, owner in list(_sharing(items)):
        if not owner:
            first.setdefault(shared, item)
        elif (reader := first.get(shared)) is not None:
            items.remove(item)
            items.insert(items.index(reader), item)


def _sharing(items: Iterable[pytest.Item]) -> Iterator[tuple[pytest.Item, tuple[Path, str], bool]]:
    """The items that share a recording, each with its `shared_file` and name, and whether it is the owner."""
    for item in items:
        if item.get_closest_marker(CASSETTE) is None:
            continue
        with suppress(LimitError):  # said when the test is set up
            cassette = cassette_of(item)
            if cassette.name is not None:
                yield item, (shared_file(item), cassette.name), cassette.owner
