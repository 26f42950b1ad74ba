"""Passages: the texts a body says, and where in its bytes each of their characters lies.

A content block's text comes in deltas, a delta in an event, an event in chunks cut anywhere; no
chunk holds the sentence a reader sees. So what looks for something in a body looks in its passages,
and what changes a passage gets the edits of the bytes that come to that. Positions are worked out only
where there is something to change: most bodies are looked through and left alone.
"""

from __future__ import annotations

import json
import re
import struct
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

Step: TypeAlias = str | int
Path: TypeAlias = tuple[Step, ...]

_DATA_LINE = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])data: ?([^\r\n]+)")
_STREAM_START = re.compile(rb"(?:\xef\xbb\xbf)?(?:event|data|id|retry)?:")
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\Z)(\s*:)?', re.DOTALL)
# What stands for one character inside a JSON string; a pair of surrogates is one character.
_UNIT = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL)
_PROTOCOL = ("type", "role", "model", "stop_reason")  # keys of the API's own words, unless in the input of a tool
_BLOCK_EVENTS = {"content_block_start": "content_block", "content_block_delta": "delta"}
_FRAME = struct.Struct(">III")  # an AWS event-stream frame: its length, that of its headers, their checksum


class Edit(NamedTuple):
    """A stretch of a text, or of bytes, and what is to stand there instead."""

    start: int
    end: int
    new: str


class ByteEdit(NamedTuple):
    """A stretch of a body's bytes, and what is to stand there instead."""

    start: int
    end: int
    new: bytes


@dataclass(frozen=True, eq=False)
class Document:
    """A part of a body that is read as one: the JSON of an event, or the whole body.

    `start` and `end` are its place in the body. Where it lies in an AWS `frame`, that is the place of the
    frame, which is made anew for a changed text.
    """

    text: str
    start: int
    end: int
    frame: bytes | None = None

    @cached_property
    def strings(self) -> dict[Path, tuple[int, int]]:
        """Where in `text` each JSON string stands that is a value, without its quotes."""
        tokens = _STRING.finditer(self.text)
        found: dict[Path, tuple[int, int]] = {}
        for path, token in zip(_token_paths(json.loads(self.text, object_pairs_hook=_Pairs)), tokens, strict=True):
            if path is not None:
                found[path] = token.span(1)
        return found

    def place(self, edits: Iterable[Edit]) -> list[ByteEdit]:
        """Edits of the text as edits of the body."""
        placed: list[ByteEdit] = []
        position, before = self.start, 0
        for edit in sorted(edits):
            start = position + len(_encoded(self.text[before : edit.start]))
            position, before = start + len(_encoded(self.text[edit.start : edit.end])), edit.end
            placed.append(ByteEdit(start, position, edit.new.encode()))
        return placed if self.frame is None else [self._reframed(edits)]

    def _reframed(self, edits: Iterable[Edit]) -> ByteEdit:
        text = self.text
        for edit in sorted(edits, reverse=True):
            text = text[: edit.start] + edit.new + text[edit.end :]
        headers, payload = _frame_parts(self.frame or b"")
        payload = json.dumps(json.loads(payload) | {"bytes": b64encode(_encoded(text)).decode()}).encode()
        length = _FRAME.size + len(headers) + len(payload) + 4
        prelude = struct.pack(">II", length, len(headers))
        frame = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
        return ByteEdit(self.start, self.end, frame + struct.pack(">I", crc32(frame)))


class Piece(NamedTuple):
    """A text that stands in one place of a body: a JSON string, or (`path` None) a whole document."""

    text: str
    document: Document
    path: Path | None

    def place(self, edits: Iterable[Edit]) -> list[Edit]:
        """Edits of this text as edits of its document's text; what they bring in needs no escape."""
        if self.path is None:
            return list(edits)
        start, end = self.document.strings[self.path]
        where = _unit_starts(self.document.text[start:end])
        return [Edit(start + where[edit.start], start + where[edit.end], edit.new) for edit in edits]


class Part(NamedTuple):
    """A text inside a passage: all of it, or one string of the JSON that it is. `token` is its escaped form."""

    text: str
    start: int
    token: str

    def stretch(self, start: int, end: int) -> tuple[int, int]:
        """Where a stretch of this text lies in the passage's."""
        if self.token == self.text:
            return self.start + start, self.start + end
        where = _unit_starts(self.token)
        return self.start + where[start], self.start + where[end]


@dataclass(frozen=True)
class Passage:
    """A text as a reader sees it, made of the pieces it came in.

    `where` says so to a person: `"content block 0"`, `"messages[0].content"`; empty for a body as a whole.
    `holds_json` is true of the input of a tool, whose deltas are pieces of JSON.
    """

    where: str
    pieces: tuple[Piece, ...]
    holds_json: bool = False

    @cached_property
    def text(self) -> str:
        """All pieces joined."""
        return "".join(piece.text for piece in self.pieces)

    def parts(self) -> Iterator[Part]:
        """The texts to look in: of JSON its strings, without keys."""
        if not self.holds_json:
            yield Part(self.text, 0, self.text)
            return
        for token in _STRING.finditer(self.text):
            if token[2]:  # a key
                continue
            try:
                value = json.loads(f'"{token[1]}"', strict=False)
            except ValueError:  # the input was cut off inside an escape
                value = token[1]
            yield Part(value, token.start(1), token[1])

    def replace(self, stretches: Iterable[tuple[int, int]], new: str) -> list[tuple[Document, Edit]]:
        """The edits of documents that put `new` in the place of these stretches of `text`."""
        starts = [0, *accumulate(len(piece.text) for piece in self.pieces)]
        edits: dict[int, list[Edit]] = {}
        for start, end in stretches:
            self._share_out(start, end, new, starts, edits)
        pieces = ((self.pieces[place], own) for place, own in edits.items())
        return [(piece.document, edit) for piece, own in pieces for edit in piece.place(own)]

    def _share_out(self, start: int, end: int, new: str, starts: Sequence[int], edits: dict[int, list[Edit]]) -> None:
        """Give each piece its part of a stretch.

        A delta that says nothing does not count as content, so one that would be left empty gets some of
        the new text: the measurements of the recording are to stay what they were.
        """
        places = range(bisect_right(starts, start) - 1, bisect_left(starts, end))
        first, *others = (place for place in places if self.pieces[place].text)
        holders = [first, *(place for place in others if starts[place + 1] <= end)]
        shares = dict.fromkeys((first, *others), "")
        for index, character in enumerate(new):
            shares[holders[round(index * (len(holders) - 1) / (len(new) - 1))]] += character
        for place, share in shares.items():
            inside = max(start, starts[place]) - starts[place], min(end, starts[place + 1]) - starts[place]
            edits.setdefault(place, []).append(Edit(*inside, share))


def _unit_starts(token: str) -> Sequence[int]:
    """Where each character of a JSON string begins in its escaped form, and where the last one ends."""
    if "\\" not in token:
        return range(len(token) + 1)
    return [*(unit.start() for unit in _UNIT.finditer(token)), len(token)]


def passages(body: bytes) -> list[Passage]:
    """Everything a body says: of a stream the content blocks, joined, and all other texts; of JSON every string.

    A body that is neither is one passage. Keys, numbers and the API's own words (`type`, `role`, `model`,
    `stop_reason`) are not among them.
    """
    if body.startswith(b"\0") and (frames := list(_frames(body))):
        return _of_stream(frames)
    if _STREAM_START.match(body):
        return _of_stream(_events(body))
    return _of_document(_document(body, 0, len(body)), "")


def placed(edits: Iterable[tuple[Document, Edit]]) -> list[ByteEdit]:
    """Edits of documents as edits of the body they are in, in the order of the bytes."""
    by_document: dict[Document, list[Edit]] = {}
    for document, edit in edits:
        by_document.setdefault(document, []).append(edit)
    return sorted(edit for document, own in by_document.items() for edit in document.place(own))


def is_protocol(path: Path) -> bool:
    """Whether a text at this path of a JSON body is a word of the API's own."""
    return bool(path) and path[-1] in _PROTOCOL and "input" not in path


def path_text(path: Path) -> str:
    """A path as messages show it: `messages[0].content`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _document(body: bytes, start: int, end: int) -> Document:
    return Document(body[start:end].decode(errors="surrogateescape"), start, end)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _events(body: bytes) -> Iterator[Document]:
    return (_document(body, *line.span(1)) for line in _DATA_LINE.finditer(body))


def _frames(body: bytes) -> Iterator[Document]:
    """The events in the frames of an AWS event stream, as far as they can be read."""
    start = 0
    while len(body) - start >= _FRAME.size:
        length, _, _ = _FRAME.unpack_from(body, start)
        frame = body[start : start + length]
        if not _FRAME.size < len(frame) == length:
            return
        try:
            encoded = json.loads(_frame_parts(frame)[1])["bytes"]
            yield Document(b64decode(encoded).decode(errors="surrogateescape"), start, start + length, frame)
        except (ValueError, KeyError, TypeError):
            pass  # a frame that carries no event
        start += length


def _frame_parts(frame: bytes) -> tuple[bytes, bytes]:
    """Headers and payload of a frame."""
    _, headers, _ = _FRAME.unpack_from(frame)
    return frame[_FRAME.size : _FRAME.size + headers], frame[_FRAME.size + headers : -4]


def _of_document(document: Document, otherwise: str) -> list[Passage]:
    try:
        value = json.loads(document.text)
    except (ValueError, RecursionError):
        return [Passage(otherwise, (Piece(document.text, document, None),))]
    return [Passage(path_text(path), (Piece(text, document, path),)) for path, text in _texts(value)]


def _of_stream(documents: Iterable[Document]) -> list[Passage]:
    blocks: dict[tuple[int, Step], list[Piece]] = {}
    others: list[Passage] = []
    for number, document in enumerate(documents, 1):
        try:
            value = json.loads(document.text)
            part = _BLOCK_EVENTS.get(value["type"])
            block = int(value["index"])
        except (ValueError, RecursionError, KeyError, TypeError):
            part, block = None, 0
        if part is None:
            others += _of_document(document, f"event {number}")
            continue
        for path, text in _texts(value):
            piece = Piece(text, document, path)
            if len(path) == 2 and path[0] == part:
                blocks.setdefault((block, path[1]), []).append(piece)
            else:
                others.append(Passage(f"event {number} at {path_text(path)}", (piece,)))
    joined = (
        Passage(f"content block {block}", tuple(pieces), holds_json=key == "partial_json")
        for (block, key), pieces in blocks.items()
    )
    return [*joined, *others]


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string value that is not the API's own word, and where it stands."""
    if isinstance(value, str):
        yield path, value
        return
    steps: Iterable[tuple[Step, Any]] = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        if isinstance(inner, dict | list):
            yield from _texts(inner, (*path, step))
        elif isinstance(inner, str) and not is_protocol(here := (*path, step)):
            yield here, inner


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in their order, repeated ones included."""


def _token_paths(value: Any, path: Path = ()) -> Iterator[Path | None]:
    """For each string of a JSON text in its order: where the value stands, None for a key."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, _Pairs):
        for key, inner in value:
            yield None
            yield from _token_paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _token_paths(inner, (*path, index))
