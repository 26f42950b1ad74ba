"""Printable text: what comes from outside, on its way to a terminal, a log or a page.

A recording, an answer or a report may hold anything. Control characters move the cursor, change a terminal's title or
hide what stands there; marks of direction show a text in another order than it is read; and a line that begins with
`::`, or holds `##[`, is a command to the CI service that shows the log. Here all of these become visible escapes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

WIDTH: Final = 80
"""Columns of a line where nobody can ask the terminal: in a failure, which may be shown elsewhere."""

# Control characters but tab and line feed, marks of direction, separators of lines, and halves of surrogate pairs.
_UNSEEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
# As text: to compile them takes a millisecond, and a run without latency tests uses none.
_UNSEEN_CHAR = f"[{_UNSEEN}]"
_UNSEEN_OR_LINE = f"[{_UNSEEN}\n]"
# Services cut white space off before they look for a command.
_COMMAND = r"(?m)^(\s*):(?=:)"
_OTHER_COMMAND = r"##(?=\w*\[)"

_GAP = r" {3,}"  # between columns
_VALUE = 12  # where the value of a labelled line begins
_WORD = r"(?a)\s*\S+"  # a space that does not break is part of its word
# To be typed: it stands alone or behind a colon, and goes on to the end of its line. A space in it may be quoted.
_TYPED = r"(?:^|(?<=: ))pytest -.*$"
_ARGUMENT = r"""(?:'[^']*'|"[^"]*"|\S)+"""
_CONTINUED = r" \\\n *"
# A label as in "  budget    ttft<800ms"; one that fills its column is followed by a single space. A text that is
# further in has no label.
_LABEL = r" *[a-z]+(?: [a-z0-9]+)*\??(?: {2,}(?=\S)|(?<=^  \S.{7}\S) (?=\S))"


def printable(text: str) -> str:
    """Return the text in one line, with visible escapes in place of what would not show itself or is a command."""
    if text.isprintable() and ":" not in text and "#" not in text:  # as most texts are
        return text
    return printable_lines(re.sub(_UNSEEN_OR_LINE, _escape, text))


def printable_lines(text: str) -> str:
    """Return the same for a text whose lines are meant to be lines."""
    text = re.sub(_UNSEEN_CHAR, _escape, text)
    return re.sub(_OTHER_COMMAND, r"#\\x23", re.sub(_COMMAND, r"\1\\x3a", text))


def printable_json(text: str) -> str:
    """Return a JSON text that says the same, with the escapes of JSON in place of such characters and commands."""
    # no line of JSON begins with the mark of a command, and in a string every line feed is an escape already
    text = re.sub(_UNSEEN_CHAR, lambda found: f"\\u{ord(found[0]):04x}", text)
    return re.sub(_OTHER_COMMAND, r"#\\u0023", text)


def wrapped(text: str, width: int = WIDTH - 1, first: str = "", following: str = "  ") -> list[str]:
    """Return lines of at most so many columns, indented so.

    Words stay whole: a path or an id is there to be copied. So is a command at the end: it gets lines of its own where
    it has no room, which a shell takes for one.
    """
    text = text.expandtabs().replace("\n", " ")
    typed = re.search(_TYPED, text)
    prose, command = (text, "") if typed is None else (text[: typed.start()], typed[0])
    lines = _packed(re.findall(_WORD, prose), width, first, following)
    if command and lines and columns_of(f"{lines[-1]} {command}") <= width:
        lines[-1] += f" {command}"
    elif command:
        margin = following if lines else first
        # a shell goes on in the next line behind a backslash, which two columns are kept for
        room = width if columns_of(margin + command) <= width else width - 2
        name, *arguments = re.findall(_ARGUMENT, command)
        *before, last = _packed([name, *(f" {argument}" for argument in arguments)], room, margin, following)
        lines += [*(f"{line} \\" for line in before), last]
    return lines


def _packed(words: list[str], width: int, first: str, following: str) -> list[str]:
    """Return the words in as few lines as they fit in. Each has the space in front of it, for the middle of a line."""
    lines: list[str] = []
    for word in words:
        if lines and columns_of(lines[-1] + word) <= width:
            lines[-1] += word
        else:
            lines.append(f"{following}{word.lstrip()}" if lines else f"{first}{word}")
    return lines


def fitted(message: str, width: int = WIDTH) -> str:
    """Return a message whose lines fit into so many columns. One that is longer goes on below its value.

    What is wrapped leaves the last column free, since some terminals wrap a line that fills it.
    """
    # a command that was wrapped for another width is one line again
    lines = re.sub(_CONTINUED, " ", message).split("\n")
    return "\n".join(part for line in lines for part in _fitted_line(line, width))


def _fitted_line(line: str, width: int) -> list[str]:
    if columns_of(line) <= width:
        return [line]
    if label := re.match(_LABEL, line):
        margin = " " * label.end()
        columns = re.split(_GAP, line[label.end() :])
        return [
            part
            for place, column in enumerate(columns)
            for part in wrapped(column, width - 1, margin if place else label[0], margin)
        ]
    text = line.lstrip()
    margin = " " * (len(line) - len(text))
    # what is that far in goes on from a line above it
    return wrapped(text, width - 1, margin, margin if len(margin) >= _VALUE else f"{margin}  ")


def columns_of(text: str) -> int:
    """Return how many columns the text takes: Chinese or Japanese characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)


def _escape(found: re.Match[str]) -> str:
    return "\\n" if found[0] == "\n" else found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
