"""Printable text: what comes from outside, on its way to a terminal, a log or a page.

A recording, an answer or a report may hold anything. Control characters move the cursor, change a terminal's title or
hide what stands there; marks of direction show a text in another order than it is read; and a line that begins with
`::`, or holds `##[`, is a command to the CI service that shows the log. Here all of these become visible escapes.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata

# Control characters but tab and line feed, marks of direction, separators of lines, and halves of surrogate pairs.
_UNSEEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
# As text: to compile them takes a millisecond, and a run without latency tests uses none.
_UNSEEN_CHAR = f"[{_UNSEEN}]"
_UNSEEN_OR_LINE = f"[{_UNSEEN}\n]"
# Services cut white space off before they look for a command.
_COMMAND = r"(?m)^(\s*):(?=:)"
_ADVICE = r"(?m)^(?=.{81})  (?:do|why|fix|instead) (?!.*pytest -).*$"
_OTHER_COMMAND = r"##(?=\w*\[)"


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


def wrapped(text: str, width: int = 79, first: str = "", following: str = "  ") -> list[str]:
    """Return lines of at most so many columns, indented so. Words stay whole: a path or an id is there to be copied."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )


def folded(message: str) -> str:
    """Return a message whose advice fits 80 columns. A command is there to be copied, so its line stays whole."""
    return re.sub(_ADVICE, lambda line: "\n".join(wrapped(line[0], 80, following=" " * 12)), message)


def columns_of(text: str) -> int:
    """Return how many columns the text takes: Chinese or Japanese characters take two, combining ones none."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)


def _escape(found: re.Match[str]) -> str:
    return "\\n" if found[0] == "\n" else found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
