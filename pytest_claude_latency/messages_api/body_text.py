"""Body texts: the texts in a request or an answer, and how its bytes are written anew if a text changes.

The text of a content block comes in deltas, a delta in an event, an event in chunks that are cut anywhere; no
chunk holds the sentence that a reader sees. So whoever looks for something in a body looks in its texts.
An event, or a whole body, in which a text changes is written anew. A program cannot notice, since an event
counts only when its last byte is there.
"""

from __future__ import annotations

import json
import re
import struct
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
# One character as it is written inside a JSON string; a pair of surrogates is one character.
_UNIT = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL)
# A pattern that matches "assistant" must not change who speaks in a message.
# Keys of the API's own words, unless in the input of a tool.
_PROTOCOL = ("type", "role", "model", "stop_reason", "stopReason", "finish_reason")
_BLOCK_EVENTS = {"content_block_start": "content_block", "content_block_delta": "delta"}
_TOOL_INPUTS = ("partial_json", "input", "arguments")  # keys of deltas that are pieces of JSON, in each form
_DONE = "[DONE]"  # the last event of a stream of chat completions, which is no JSON
_FRAME = struct.Struct(">III")  # an AWS event-stream frame: its length, that of its headers, their checksum


class Change(NamedTuple):
    """A stretch of a body's bytes, and the bytes that replace it."""

    start: int
    end: int
    new: bytes


@dataclass(frozen=True, eq=False)
class Document:
    """A part of a body that is read as one: the JSON of an event, or the whole body.

    `start` and `end` are its place in the body. If it came in an AWS `frame`, they are the place of the frame,
    which is made anew for a changed text.
    """

    text: str
    start: int
    end: int
    frame: bytes | None = None

    def rewritten(self, texts: Mapping[Path | None, str]) -> bytes:
        """Return its bytes with these texts at their paths; None is the path of a document that is not JSON."""
        if None in texts:
            content = _encoded(texts[None])
        else:
            holder = [json.loads(self.text)]  # so that a body that is one string can be replaced too
            for path, text in texts.items():
                *steps, last = (0, *(path or ()))
                inner: Any = holder
                for step in steps:
                    inner = inner[step]
                inner[last] = text
            try:
                content = _encoded(json.dumps(holder[0], ensure_ascii=False, separators=(",", ":")))
            except UnicodeEncodeError:  # half a surrogate pair: JSON can write it, UTF-8 cannot
                content = json.dumps(holder[0], separators=(",", ":")).encode()
        if self.frame is None:
            return content
        headers, payload = _frame_parts(self.frame)
        enclosing = json.loads(payload)
        payload = content  # a frame of Converse is its event
        if _enclosed(enclosing) is not None:
            payload = json.dumps(enclosing | {"bytes": b64encode(content).decode()}).encode()
        length = _FRAME.size + len(headers) + len(payload) + 4
        prelude = struct.pack(">II", length, len(headers))
        frame = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
        return frame + struct.pack(">I", crc32(frame))


class Piece(NamedTuple):
    """A text in one place of a body: a JSON string, or (`path` None) a whole document that is not JSON."""

    text: str
    document: Document
    path: Path | None


class Part(NamedTuple):
    """A part of a body text: all of it or, if it is JSON, one string in it. `token` is its escaped form."""

    text: str
    start: int
    token: str

    def stretch(self, start: int, end: int) -> tuple[int, int]:
        """Return the place of a stretch of this part in the body text."""
        if self.token == self.text:
            return self.start + start, self.start + end
        units = [*(unit.start() for unit in _UNIT.finditer(self.token)), len(self.token)]
        return self.start + units[start], self.start + units[end]


@dataclass(frozen=True)
class BodyText:
    """A text as a reader sees it, made of the pieces it came in.

    `where` names its place for a person: `"content block 0"`, `"messages[0].content"`; empty for a body as a whole.
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
        """Yield the texts to look in: of JSON its strings, without keys."""
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

    def replaced(self, stretches: Sequence[tuple[int, int]], new: str) -> list[Piece]:
        """Return the pieces that change where `new` takes the place of these disjoint stretches of `text`.

        A delta without content does not count, so a piece that would be left empty gets some of the new text:
        the measurements of the recording are to stay what they were.
        """
        starts = [0, *accumulate(len(piece.text) for piece in self.pieces)]
        texts: dict[int, str] = {}
        for start, end in sorted(stretches, reverse=True):  # from the end: what is before keeps its place
            touched = range(bisect_right(starts, start) - 1, bisect_left(starts, end))
            first, *others = (place for place in touched if self.pieces[place].text)
            # The pieces that the stretch covers to their end: they would be empty without some of the new text.
            holders = [first, *(place for place in others if starts[place + 1] <= end)]
            shares = dict.fromkeys((first, *others), "")
            for index, character in enumerate(new):
                shares[holders[round(index * (len(holders) - 1) / (len(new) - 1))]] += character
            for place, share in shares.items():
                text = texts.get(place, self.pieces[place].text)
                cut_from, cut_to = max(start - starts[place], 0), min(end, starts[place + 1]) - starts[place]
                texts[place] = text[:cut_from] + share + text[cut_to:]
        return [self.pieces[place]._replace(text=text) for place, text in texts.items()]


def body_texts(body: bytes) -> list[BodyText]:
    """Return the texts in a body: of a stream the content blocks, joined, and all other texts; of JSON each string.

    A body that is neither is one text. Keys, numbers and the API's own words (`type`, `role`, `model`,
    `stop_reason`) are not among them.
    """
    # A frame of AWS begins with its length, which is below 24 MB; no JSON and no text begins with a zero byte.
    if body.startswith(b"\0") and (frames := list(_frames(body))):
        return _of_stream(frames)
    if _STREAM_START.match(body):
        return _of_stream(_document(body, *line.span(1)) for line in _DATA_LINE.finditer(body))
    return _of_document(_document(body, 0, len(body)), "")


def changes(pieces: Iterable[Piece]) -> list[Change]:
    """Return how a body changes where these pieces of it have new texts, in the order of its bytes."""
    by_document: dict[Document, dict[Path | None, str]] = {}
    for piece in pieces:
        by_document.setdefault(piece.document, {})[piece.path] = piece.text
    return sorted(
        Change(document.start, document.end, document.rewritten(texts)) for document, texts in by_document.items()
    )


def is_protocol(path: Path) -> bool:
    """Return whether a text at this path of a JSON body is a word of the API's own."""
    return bool(path) and path[-1] in _PROTOCOL and "input" not in path


def path_text(path: Path) -> str:
    """Return a path as messages show it: `messages[0].content`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _document(body: bytes, start: int, end: int) -> Document:
    # bytes that are no UTF-8 come back as they were, since they belong to the user's recording
    return Document(body[start:end].decode(errors="surrogateescape"), start, end)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _frames(body: bytes) -> Iterator[Document]:
    """Yield the events in the frames of an AWS event stream, as far as they can be read."""
    start = 0
    while len(body) - start >= _FRAME.size:
        length, _, _ = _FRAME.unpack_from(body, start)
        frame = body[start : start + length]
        # cut off, or no frame at all: what stands behind it has no place that could be trusted
        if not _FRAME.size < len(frame) == length:
            return
        try:
            payload = _frame_parts(frame)[1]
            encoded = _enclosed(json.loads(payload))
            content = payload if encoded is None else b64decode(encoded)
            yield Document(content.decode(errors="surrogateescape"), start, start + length, frame)
        except (ValueError, RecursionError):
            pass  # a frame that carries no event: nothing is read in it, and nothing changed
        start += length


def _enclosed(payload: object) -> str | None:
    """Return the event of the Messages API in the payload of a frame, as base64; None if the payload is the event."""
    encoded = payload.get("bytes") if isinstance(payload, dict) else None
    return encoded if isinstance(encoded, str) else None


def _frame_parts(frame: bytes) -> tuple[bytes, bytes]:
    """Return the headers and the payload of a frame."""
    _, headers, _ = _FRAME.unpack_from(frame)
    return frame[_FRAME.size : _FRAME.size + headers], frame[_FRAME.size + headers : -4]


def _of_document(document: Document, otherwise: str) -> list[BodyText]:
    try:
        value = json.loads(document.text)
    except (ValueError, RecursionError):
        # damaged JSON may still hold a credential, so it is looked at as a text
        return [BodyText(otherwise, (Piece(document.text, document, None),))]
    return [BodyText(path_text(path), (Piece(text, document, path),)) for path, text in _texts(value)]


class _Block(NamedTuple):
    """What the texts of several events belong to: a content block, the text of a choice, a tool call."""

    where: str
    keys: Path
    """The keys of the text inside an event, which tell the parts of a block apart."""


def _of_stream(documents: Iterable[Document]) -> list[BodyText]:
    blocks: dict[_Block, list[Piece]] = {}
    others: list[BodyText] = []
    for number, document in enumerate(documents, 1):
        if document.text.strip() == _DONE:
            continue
        try:
            value = json.loads(document.text)
        except (ValueError, RecursionError):
            value = None
        # a piece of content, by what each form has in such an event; everything else in a stream stands by itself
        is_content = isinstance(value, dict) and (
            (_part_of(value) is not None and isinstance(value.get("index"), int))
            or isinstance(value.get("contentBlockIndex"), int)
            or isinstance(value.get("choices"), list)
        )
        if not is_content:
            others += _of_document(document, f"event {number}")
            continue
        for path, text in _texts(value):
            piece = Piece(text, document, path)
            block = _block_of(value, path)
            if block is None:
                others.append(BodyText(f"event {number} at {path_text(path)}", (piece,)))
            else:
                blocks.setdefault(block, []).append(piece)
    joined = (
        BodyText(block.where, tuple(pieces), holds_json=block.keys[-1] in _TOOL_INPUTS)
        for block, pieces in blocks.items()
    )
    return [*joined, *others]


def _block_of(value: Any, path: Path) -> _Block | None:
    """Return the block that the text at this path of an event is a piece of; None if it is no piece of content."""
    match path:
        case ("choices", int(), "delta", "tool_calls", int() as place, "function", key):
            tool = value["choices"][path[1]]["delta"]["tool_calls"][place]
            return _Block(f"tool call {tool.get('index', place)}", (key,))
        case ("choices", int() as place, "delta", key):
            return _Block(f"choice {value['choices'][place].get('index', place)}", (key,))
        case ("delta" | "start", key, *rest) if "contentBlockIndex" in value:
            return _Block(f"content block {value['contentBlockIndex']}", (key, *rest))
        case (part, key) if part == _part_of(value):
            return _Block(f"content block {value['index']}", (key,))
    return None


def _part_of(value: Any) -> str | None:
    """Return the key of an event of the Messages API that holds a piece of content; None if none does."""
    event = value.get("type")
    return _BLOCK_EVENTS.get(event) if isinstance(event, str) else None


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield each string value that is not a word of the API's own, with its path."""
    if isinstance(value, str):
        yield path, value
        return
    steps: Iterable[tuple[Step, Any]] = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        # only values that hold others: a generator for each string would cost more than all the rest of a long prompt
        if isinstance(inner, dict | list):
            yield from _texts(inner, (*path, step))
        elif isinstance(inner, str) and not is_protocol(here := (*path, step)):
            yield here, inner
