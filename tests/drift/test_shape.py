"""The shape of answers: what is in them, whatever they say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pytest_claude_latency.drift.shape import ShapeChange, shape_changes, shape_of
from pytest_claude_latency.messages_api.exchange import Chunk, Exchange
from tests.support.written_calls import streamed, whole


def body(**fields: Any) -> Exchange:
    """An answer that does not stream, with these fields only."""
    answer = whole()
    return replace(answer, chunks=(Chunk(0, json.dumps(fields).encode()),))


def changes(before: Exchange, after: Exchange) -> list[ShapeChange]:
    return list(shape_changes([shape_of(before)], [shape_of(after)]))


def places(before: Exchange, after: Exchange) -> list[tuple[str, str]]:
    return [(change.kind, change.place) for change in changes(before, after)]


def test_other_words_at_other_times_in_other_chunks_are_the_same_shape() -> None:
    before = streamed(pieces=[(400, "text", "Your parcel "), (900, "text", "is on its way.")])
    after = streamed(pieces=[(100, "text", "It "), (150, "text", "is "), (400, "text", "here.")], stop=500)

    assert changes(before, after) == []


def test_a_ping_is_no_part_of_the_shape() -> None:
    before = streamed()
    ping = Chunk(0, b'event: ping\ndata: {"type": "ping", "new": 1}\n\n')

    assert changes(before, replace(before, chunks=(ping, *before.chunks))) == []


def test_a_new_field_is_told_with_its_type_and_a_lost_one_too() -> None:
    assert changes(body(a=1), body(a=2, b="x")) == [ShapeChange("new", "body.b", ("string",), (), 1, 1)]
    assert changes(body(a=1, b="x"), body(a=1)) == [ShapeChange("gone", "body.b", ("string",), (), 1, 1)]


def test_of_what_is_within_something_new_only_the_outermost_is_told() -> None:
    assert places(body(), body(usage={"cache": {"read": 1, "written": [1]}})) == [("new", "body.usage")]


def test_a_new_event_and_a_new_kind_of_block_are_told() -> None:
    before = streamed(pieces=[(400, "text", "a")])
    thinking = streamed(pieces=[(200, "thinking", "hm"), (400, "text", "a")])
    event = Chunk(0, b'event: content_filter\ndata: {"type": "content_filter", "level": 1}\n\n')

    assert places(before, thinking) == [
        ("new", "content_block_delta.delta(thinking_delta)"),
        ("new", "content_block_start.content_block(thinking)"),
    ]
    assert places(before, replace(before, chunks=(*before.chunks, event))) == [("new", "content_filter")]


def test_another_type_is_told_and_null_is_none() -> None:
    assert changes(body(n=1), body(n="1")) == [ShapeChange("type", "body.n", ("string",), ("number",), 1, 1)]
    assert changes(body(n=1), body(n=1.5)) == []
    assert changes(body(n=None), body(n="1")) == changes(body(n="1"), body(n=None)) == []


def test_what_the_tools_of_a_program_are_given_is_no_shape_of_the_api() -> None:
    before, after = ({"type": "tool_use", "input": {key: 1}} for key in ("order", "parcel"))

    assert changes(body(content=[before]), body(content=[after])) == []


def test_what_any_recorded_answer_had_is_not_new_and_counts_say_how_many_have_it() -> None:
    one, other = shape_of(body(a=1)), shape_of(body(a=1, b=1))

    assert list(shape_changes([one, other], [other, other])) == []
    assert list(shape_changes([one, one], [one, other, other])) == [ShapeChange("new", "body.b", ("number",), (), 2, 3)]


def test_an_answer_that_is_no_json_and_one_that_is_very_deep_have_a_shape() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = {"a": deep}

    assert shape_of(replace(whole(), chunks=(Chunk(0, b"<html>"),))) == {"body": frozenset()}
    assert len(shape_of(body(deep=deep))) < 20
