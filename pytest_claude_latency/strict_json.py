"""Strict JSON: how the files of this package are read.

What the writer does not write is an error, never skipped: a misspelt key would otherwise change what a
file means without a word. So a key that is unknown or appears twice is refused, and so are NaN and Infinity.
msgspec turns the values into typed structs. Its own JSON reader is not used: it accepts a key that
appears twice, and refuses half a surrogate pair, which a prompt may hold.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Never, TypeVar, final, get_args, get_type_hints

import msgspec

from pytest_claude_latency.errors import FileError
from pytest_claude_latency.known_files import is_report, what_it_is, what_object_is

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_PLACE = re.compile(r"(?P<message>.*) - at `\$\.?(?P<path>.*)`", re.DOTALL)
_MOST_BYTES = 1_000_000_000
"""A recording of a million chunks has a quarter of that."""
_PIECE = 2**26
_LITTLE = 2**16
_SPACE = re.compile(r"[ \t\r\n]*")
_LONGEST_SHOWN = 40  # characters of a value in a message


class JSONFaultError(ValueError):
    """What is wrong with a piece of a file. Whoever reads the file says where."""


_CONFLICT = ("<<<<<<< ", "||||||| ", "=======", ">>>>>>> ")
"""How the lines begin that git writes into a file that two branches changed."""


class NotJSONError(JSONFaultError):
    """The text is not JSON at all, which may mean that it is cut off."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the structs for one JSON object of a file."""


@final
class JSONLines:
    """The lines of a text, each a JSON object. `number` is that of the latest line; None for the file as a whole.

    Iterating raises `JSONFaultError` where a line is empty, is not a JSON object or is cut off.
    """

    def __init__(self, text: str) -> None:
        self.number: int | None = None
        self._text = text

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self._text.strip():
            raise JSONFaultError("the file is empty")
        if self._text.startswith("\ufeff"):
            raise JSONFaultError("the file begins with a byte order mark (BOM): save it as UTF-8 without one")
        # editors leave an empty line at the end
        lines = self._text.rstrip().split("\n")
        for self.number, line in enumerate(lines, 1):
            if not line.strip():
                raise JSONFaultError("the line is empty")
            if line.startswith(_CONFLICT):
                raise JSONFaultError("the line marks a merge conflict: keep the lines of one side only")
            try:
                value = parse(line)
            except NotJSONError:
                if self.number == 1 and (known := what_it_is(self._text)):
                    self.number = None  # noqa: PLW2901 - it is about the file as a whole
                    raise JSONFaultError(known) from None
                if self.number == len(lines) and not self._text.endswith("\n"):
                    raise NotJSONError("the file is cut off in this line") from None
                raise
            if not isinstance(value, dict):
                raise JSONFaultError("it is not a JSON object")
            yield value


def read_text(path: Path, error: type[FileError]) -> str:
    """Return the text of a file.

    Raises:
        FileError: there is no file, it is not UTF-8, or larger than any that this package writes. It is an `error`.
    """
    try:
        # Each latency test reads one, so without Python's object for a file, which costs more than to read it.
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            size, length, pieces = os.fstat(file).st_size, 0, []
            # Piece by piece: a pipe or a device does not say beforehand how much it has. Python takes as much memory as
            # is asked for, which costs more than to read a small file.
            while size <= _MOST_BYTES and (piece := os.read(file, min(_PIECE, size + _LITTLE))):
                pieces.append(piece)
                length += len(piece)
                size = max(size, length)
        finally:
            os.close(file)
        if size > _MOST_BYTES:
            raise error(path, None, f"it is larger than {_MOST_BYTES // 1_000_000_000} GB, which no file of ours needs")
        return b"".join(pieces).decode()
    except UnicodeDecodeError as fault:
        raise error(path, fault.object.count(b"\n", 0, fault.start) + 1, "it is not UTF-8") from None
    except FileNotFoundError:
        raise error(path, None, "there is no such file") from None
    except IsADirectoryError:
        raise error(path, None, "it is a folder, and not a file") from None
    except OSError as fault:
        raise error(path, None, fault.strerror or str(fault)) from fault


def read_report(path: Path, error: type[FileError]) -> str:
    """Return the text of a file that is to be the JSON report of a run.

    Raises:
        FileError: it cannot be read, or it is another file of this package. It is an `error`.
    """
    text = read_text(path, error)
    if not is_report(text) and (known := what_it_is(text)):
        raise error(path, None, known)
    return text


def parse(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        NotJSONError: it is not JSON.
        JSONFaultError: a key appears twice in an object, or a number is NaN, infinite or too long.
    """
    try:
        # A line of a recording is one value, without space around it. All else, and each fault, is the decoder's.
        try:
            value, end = _DECODER.scan_once(text, 0)  # type: ignore[attr-defined]  # what `raw_decode` calls
        except StopIteration:
            end = -1
        return value if end == len(text) else _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJSONError(f"it is not JSON ({error})") from error
    except JSONFaultError:
        raise
    except RecursionError:
        raise JSONFaultError("it is nested too deeply") from None
    except ValueError:  # Python reads no number of more than some thousand digits
        raise JSONFaultError("a number in it is too long") from None


def line_of_fault(text: str, fault: JSONFaultError) -> int:
    """Return the line of a JSON text in which `parse` met the fault."""
    if isinstance(fault.__cause__, json.JSONDecodeError):
        return fault.__cause__.lineno
    lines = text.split("\n")

    # A text that is cut off before the fault is no JSON, which is another fault.
    def is_reached(count: int) -> bool:
        try:
            parse("\n".join(lines[:count]))
        except NotJSONError:
            return False
        except JSONFaultError:
            return True
        return False

    return 1 + bisect_left(range(1, len(lines)), True, key=is_reached)


def line_of(text: str, place: Iterable[str | int]) -> int:
    """Return the line of a JSON text in which the value at a place begins: `("profiles", 0, "ttft")`.

    Where something on the way is missing, what lacks it is meant.
    """
    at = _after_space(text, 0)
    for key in place:
        at = dict(_members(text, at)).get(key, at)
    return text.count("\n", 0, at) + 1


def convert(value: object, struct: type[_Struct]) -> _Struct:
    """Return a JSON value as a struct.

    Raises:
        JSONFaultError: a key is missing or unknown, or its value has another type than that of the field.
    """
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as error:
        raise JSONFaultError(_explain(str(error), value, struct)) from None
    except UnicodeEncodeError:
        raise JSONFaultError("a key in it holds half a surrogate pair") from None


def check_format(fact: Mapping[str, Any], name: str, version: int, what: str) -> None:
    """Refuse the first object of a file that is not `what` (`"a recording"`) in a version up to this one.

    Raises:
        JSONFaultError: `"format"` is not `name`, or `"version"` is not a whole number, or is a newer one.
    """
    if fact.get("format") != name:
        lacks = f'the first line has no "format": "{name}"'
        raise JSONFaultError(what_object_is(fact) or f"it is not {what} of this plugin: {lacks}")
    written = fact.get("version")
    # isinstance would take `true` for 1
    if type(written) is not int or written < 1:
        raise JSONFaultError(f'"version" is {show(written)}, expected a whole number')
    if written > version:
        reason = "a newer pytest-claude-latency wrote it"
        raise JSONFaultError(f"it has version {written}, this plugin reads up to {version}: {reason}")


def kind_of(fact: Mapping[str, Any], kinds: Iterable[str], what: str) -> str:
    """Return the key that says which kind of line an object is.

    Raises:
        JSONFaultError: it has none of the keys, or several.
    """
    keys = [kind for kind in kinds if kind in fact]
    if len(keys) != 1:
        raise JSONFaultError(f"it is not a line of {what}: expected exactly one of the keys {key_list(kinds)}")
    return keys[0]


def show(value: object) -> str:
    """Return a value as JSON for a message, cut if it is long."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def key_list(keys: Iterable[str]) -> str:
    """Return keys for a message: `"at", "status"`."""
    return ", ".join(f'"{key}"' for key in keys)


def _refuse_constant(constant: str) -> Never:
    raise JSONFaultError(f"{constant} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in value if keys.count(key) > 1)
        raise JSONFaultError(f'the key "{twice}" appears twice')
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _members(text: str, at: int) -> Iterator[tuple[str | int, int]]:
    """Yield the keys of the object, or the numbers of the array, that begins at `at`, and where each value begins."""
    kind, number = text[at], 0
    at = _after_space(text, at + 1)
    while kind in "{[" and text[at] not in "}]":
        key: str | int = number
        if kind == "{":
            key, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
        yield key, at
        at = _after_space(text, _DECODER.raw_decode(text, at)[1])
        at = _after_space(text, at + 1) if text[at] == "," else at
        number += 1


def _after_space(text: str, at: int) -> int:
    return next(_SPACE.finditer(text, at)).end()


def _explain(message: str, value: object, struct: type[msgspec.Struct]) -> str:
    """Return the message of msgspec in the words of this package: msgspec names types of Python, and no values.

    A field whose type has a `Meta(description=...)` describes itself what is expected.
    """
    place = _PLACE.fullmatch(message)
    key = re.split(r"[.\[]", place["path"], maxsplit=1)[0] if place else ""
    if not key:
        if missing := re.fullmatch(r"Object missing required field `(.*)`", message):
            return f'it lacks "{missing[1]}"'
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
        return f'it has the unknown key "{unknown[1]}"' if unknown else "it is not a JSON object"
    hint = get_type_hints(struct, include_extras=True)[key]
    details = [detail for form in (hint, *get_args(hint)) for detail in getattr(form, "__metadata__", ())]
    expected = next((detail.description for detail in details if detail.description), None)
    if expected is None:
        names = re.findall(r"(\w+)(?: \||`)", message.partition(", got")[0])
        expected = " or ".join(_TYPES.get(name, name) for name in names)
    shown = show(value[key]) if isinstance(value, dict) else "there"
    return f'"{key}" is {shown}, expected {expected}'
