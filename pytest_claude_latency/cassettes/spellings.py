"""Spellings: the other ways in which a text may be written, so that what it says is found in each."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from urllib.parse import unquote

_ESCAPED = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|([\"'/\\]))")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}={0,2}")
_HEAD = 48  # characters of base64 that show whether it is that of a text: an image is not decoded further
_DEEPEST = 3


def spellings(text: str, depth: int = 0) -> Iterator[str]:
    """Yield the text, and what it says with percent-encoding, JSON's escapes, base64 and UTF-16 undone."""
    yield text
    if depth == _DEEPEST:
        return
    undone = [unquote(text, errors="replace") if "%" in text else text]
    if "\\" in text:
        undone.append(_ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text))
    for plain in undone:
        if plain != text:
            yield from spellings(plain, depth + 1)
    if "\x00" in text:  # each ASCII character of UTF-16 has such a neighbour
        yield from spellings(text.replace("\x00", ""), depth + 1)
    for found in _BASE64.finditer(text):
        if _text_of(found[0][:_HEAD]) is not None and (encoded := _text_of(found[0])) is not None:
            yield from spellings(encoded, depth + 1)


def _text_of(encoded: str) -> str | None:
    """Return the text that base64 stands for; None if it stands for no text."""
    digits = encoded.rstrip("=").replace("-", "+").replace("_", "/")
    digits = digits[:-1] if len(digits) % 4 == 1 else digits  # one digit more than fits is no byte
    try:
        data = b64decode(digits + "=" * (-len(digits) % 4))
    except (ValueError, Error):
        return None
    text = data.decode(errors="replace").replace("\x00", "")
    unusual = sum(not (char.isprintable() or char in "\n\r\t") or char == "\ufffd" for char in text[:200])
    return text if unusual <= 1 else None
