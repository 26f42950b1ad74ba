"""Matches of a user's pattern are those that `finditer` finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.pattern_matches import matches

BEGINNINGS = [r"\w+", r"[\w.+-]+", "[^@]*", ".+", "[ab]{2,}", r"\w+?", r"\W*?", "[^b]*", "(?:ab)+", "a", ""]
ENDS = [
    "@",
    r"@\w+",
    "b",
    "$",
    "^",
    r"\b",
    "(?!a)",
    "(?<=a)",
    r"(b)\1",
    "-?",
    "",
    "@|ab",
    "|b",
    "(?:b|@)",
    "+",
    "|[ab]+@",
]
PATTERNS = st.builds(
    "{}{}{}".format, st.sampled_from(["", "(?i)", "(?s)", "(?m)"]), *map(st.sampled_from, (BEGINNINGS, ENDS))
)


@given(source=PATTERNS, text=st.text("abB@.-1 \n", max_size=30))
@example("[^@]*@b", "@b@b@b").via("a match that ends inside a run")
@example("[^-]+@|b", "ab").via("another alternative inside a run")
def test_they_are_those_of_finditer(source: str, text: str) -> None:
    try:
        pattern = re.compile(source)
    except re.error:
        return

    spans = [match.span() for match in matches(pattern, text)]

    assert spans == [match.span() for match in pattern.finditer(text) if match[0]]


@pytest.mark.parametrize("source", [r"\w+@", r"(?i)[a-z.]{1,}@", ".+secret"])
def test_a_long_run_is_read_once(source: str) -> None:
    text = "a" * 1_000_000  # from each letter on, it would take hours

    assert list(matches(re.compile(source), text)) == []
