"""The shape of answers: which events and fields they have, and of which types. What they say is no part of it.

Two answers to one request differ in their words, and may differ in their blocks: one thinks, the other does not. So
shapes are compared over all answers of one form by one model. What is new is in none that was recorded, and what is
gone is in none of today.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pytest_claude_latency.messages_api.answer import is_streamed, stream_events
from pytest_claude_latency.messages_api.exchange import Exchange

Shape: TypeAlias = Mapping[str, frozenset[str]]
"""The types of each place, without null. A place is named by its keys: `message_start.message.usage.input_tokens`."""
Kind: TypeAlias = Literal["new", "gone", "type"]

_OF_THE_PROGRAM: Final = ("input", "container", "structured_output")
"""Keys whose value has the keys of the program's own tools."""
_DEEPEST: Final = 12
_NAMES: Final = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}


@dataclass(frozen=True, slots=True)
class ShapeChange:
    """One event or field that is new, gone, or of another type than it `was`.

    `count` of the `answers` that could have it do: those of now, or for what is gone those that were recorded.
    """

    kind: Kind
    place: str
    types: tuple[str, ...]
    was: tuple[str, ...]
    count: int
    answers: int

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "change": self.kind,
            "place": self.place,
            "types": list(self.types),
            "was": list(self.was),
            "answers": self.count,
            "of": self.answers,
        }


def shape_of(exchange: Exchange) -> Shape:
    """Return the shape of a complete answer."""
    places: dict[str, set[str]] = {}
    if not is_streamed(exchange):
        _add(_value(b"".join(chunk.data for chunk in exchange.chunks)), "body", places, 0)
    else:
        for _, event in stream_events(exchange):
            # a ping comes when nothing else does for a while
            if event.name != "ping" and (value := _value(event.data)) is not None:
                _add(value, event.name or "data", places, 0)
    return {place: frozenset(types) for place, types in places.items()}


def shape_changes(before: Sequence[Shape], after: Sequence[Shape]) -> Iterator[ShapeChange]:
    """Yield what changed between the recorded answers and those of today, those of new fields first."""
    old, new = _together(before), _together(after)
    yield from _only_in(new, old, "new", after)
    yield from _only_in(old, new, "gone", before)
    for place in sorted(old.keys() & new.keys()):
        if old[place] and new[place] - old[place]:
            count = sum(bool(shape.get(place, frozenset()) - old[place]) for shape in after)
            yield ShapeChange("type", place, tuple(sorted(new[place])), tuple(sorted(old[place])), count, len(after))


def _only_in(found: Shape, known: Shape, kind: Kind, shapes: Sequence[Shape]) -> Iterator[ShapeChange]:
    """Yield each place that only one side has. Of what is within a new event or block, only the outermost is told."""
    counts = Counter(place for shape in shapes for place in shape)
    for place in sorted(found.keys() - known.keys()):
        if _parent(place) in known or not _parent(place):
            yield ShapeChange(kind, place, tuple(sorted(found[place])), (), counts[place], len(shapes))


def _together(shapes: Sequence[Shape]) -> dict[str, frozenset[str]]:
    together: dict[str, frozenset[str]] = {}
    for shape in shapes:
        for place, types in shape.items():
            together[place] = together.get(place, frozenset()) | types
    return together


def _parent(place: str) -> str:
    """Return the place that holds this one: empty for an event."""
    return place[:-2] if place.endswith("[]") else place.rpartition(".")[0]


def _add(value: Any, place: str, places: dict[str, set[str]], depth: int) -> None:
    """Add a value and all within it to the places."""
    if isinstance(value, dict) and depth and isinstance(kind := value.get("type"), str):
        # blocks of different types are different things
        place = f"{place}({kind.replace('.', '_')})"
    types = places.setdefault(place, set())
    if value is not None:
        types.add(_NAMES[type(value)])
    if depth >= _DEEPEST:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            known = key if isinstance(inner, dict | list) and key in _OF_THE_PROGRAM else None
            _add(None if known else inner, f"{place}.{key.replace('.', '_')}", places, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _add(inner, f"{place}[]", places, depth + 1)


def _value(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
