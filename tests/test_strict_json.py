from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from msgspec import UNSET, Meta, UnsetType

from pytest_claude_latency import strict_json
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.strict_json import JSONFaultError, JSONLines, Line, NotJSONError, convert, kind_of, parse
from tests.support.some_recording import JSON_VALUES


class Fact(Line, frozen=True):
    name: str
    count: Annotated[int, Meta(ge=1, description="a whole number from 1")] = 1
    share: float | None = None
    closed: Annotated[Literal["client"], Meta(description='"client"')] | UnsetType = UNSET


def test_a_value_becomes_a_struct_of_its_type() -> None:
    assert convert({"name": "a", "share": 1}, Fact) == Fact(name="a", count=1, share=1.0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, 'it lacks "name"'),
        ({"name": "a", "nmae": "b"}, 'it has the unknown key "nmae"'),
        ({"name": 1}, '"name" is 1, expected a text'),
        ({"name": None}, '"name" is null, expected a text'),
        ({"name": "a", "count": 0}, '"count" is 0, expected a whole number from 1'),
        ({"name": "a", "count": 1.0}, '"count" is 1.0, expected a whole number from 1'),
        ({"name": "a", "count": True}, '"count" is true, expected a whole number from 1'),
        ({"name": "a", "share": "half"}, '"share" is "half", expected a number or null'),
        ({"name": "a", "closed": "server"}, '"closed" is "server", expected "client"'),
        ([], "it is not a JSON object"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_key(value: object, reason: str) -> None:
    with pytest.raises(JSONFaultError) as caught:
        convert(value, Fact)

    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', 'the key "c" appears twice'),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        ("[" * 200_000, "it is nested too deeply"),
        ("1" * 5_000, "a number in it is too long"),
        ("{} {}", "it is not JSON"),
    ],
)
def test_json_that_a_lenient_reader_accepts_is_refused(text: str, reason: str) -> None:
    with pytest.raises(JSONFaultError, match=re.escape(reason)):
        parse(text)


@given(JSON_VALUES)
def test_any_json_value_is_read_as_it_was_written(value: Any) -> None:
    assert parse(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", None, "the file is empty"),
        ("{}\n\n{}\n", 2, "the line is empty"),
        ("\ufeff{}\n", None, "the file begins with a byte order mark (BOM): save it as UTF-8 without one"),
        ("{}\n<<<<<<< HEAD\n{}\n", 2, "the line marks a merge conflict: keep the lines of one side only"),
        ("{}\n=======\n{}\n", 2, "the line marks a merge conflict: keep the lines of one side only"),
        ("{}\n>>>>>>> theirs\n", 2, "the line marks a merge conflict: keep the lines of one side only"),
        ("{}\n[]\n", 2, "it is not a JSON object"),
        ('{}\n{"a": 1', 2, "the file is cut off in this line"),
        ('{"a": 1\n{}', 1, "it is not JSON"),
        ('{\n"schema": 1, "tests": []\n}\n', None, "it is the JSON report of a run: claude-latency explain, compare"),
    ],
)
def test_a_line_that_is_not_a_json_object_is_named_by_its_number(text: str, line: int | None, reason: str) -> None:
    lines = JSONLines(text)

    with pytest.raises(JSONFaultError, match=re.escape(reason)):
        list(lines)

    assert lines.number == line


@pytest.mark.parametrize("end", ["\n", "\n\n", "\n \n\n", "\r\n"])
def test_empty_lines_at_the_end_do_not_matter(end: str) -> None:
    assert list(JSONLines('{"a": 1}\n{}' + end)) == [{"a": 1}, {}]


def test_a_line_has_one_kind() -> None:
    assert kind_of({"end": 1, "at": 2}, ["request", "end"], "a recording") == "end"
    with pytest.raises(JSONFaultError, match='expected exactly one of the keys "request", "end"'):
        kind_of({"end": 1, "request": 1}, ["request", "end"], "a recording")


def test_text_that_is_not_json_has_an_error_of_its_own() -> None:
    with pytest.raises(NotJSONError):
        parse("{")


def test_a_file_larger_than_any_of_ours_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "vast.jsonl"
    with path.open("wb") as file:
        file.truncate(10**12)  # a hole, which takes no room

    with pytest.raises(CassetteError, match=r"vast\.jsonl: it is larger than 1 GB, which no file of ours needs"):
        strict_json.read_text(path, CassetteError)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device that never ends")
def test_what_never_ends_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "_MOST_BYTES", 10**6)

    with pytest.raises(CassetteError, match="it is larger than"):
        strict_json.read_text(Path("/dev/zero"), CassetteError)


def test_reading_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "test_label.1.jsonl"
    file.write_text("{}")
    tracemalloc.start()
    try:
        text = strict_json.read_text(file, CassetteError)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert text == "{}"
    assert most < 2**20


@pytest.mark.parametrize("text", ["[1]", " [1]", "[1] \n", "[1] 2", "[1]]", "[1", "", " ", "nul", '{"a": 1}'])
def test_a_text_means_what_it_means_to_the_json_module(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError as error:
        with pytest.raises(NotJSONError, match=re.escape(str(error).partition(" (")[0].partition(":")[0])):
            parse(text)
    else:
        assert parse(text) == expected
