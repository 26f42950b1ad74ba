"""Text from outside, as it may be shown."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.printable import folded, printable, printable_json, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("claude-haiku-4-5", "claude-haiku-4-5"),
        ("退款 é 😀\tx", "退款 é 😀\tx"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\r\nb", r"a\r\nb"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2028x\ud800", r"\u2028x\ud800"),
        ("::error::x", r"\x3a:error::x"),
        ("  ::stop-commands::x", r"  \x3a:stop-commands::x"),
        ("test_it.py::test_a", "test_it.py::test_a"),
        ("a ##[group]x ##vso[task] ##teamcity[y] ## [z", r"a #\x23[group]x #\x23vso[task] #\x23teamcity[y] ## [z"),
    ],
)
def test_what_does_not_show_itself_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_that_are_meant_stay_lines() -> None:
    assert printable_lines("a\n\x1bb\n::c") == "a\n\\x1bb\n\\x3a:c"


@given(st.text())
def test_no_text_can_do_more_than_be_read(text: str) -> None:
    shown = printable(text)

    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in shown.replace("\t", ""))
    assert not shown.lstrip().startswith("::")
    assert "##[" not in shown
    assert printable(shown) == shown


@given(st.text() | st.sampled_from(["##[group]", "\x1b\u202e##vso[task]"]))
def test_a_json_text_says_the_same_with_its_own_escapes(text: str) -> None:
    shown = printable_json(json.dumps({text: text}, ensure_ascii=False))

    assert json.loads(shown) == {text: text}
    assert printable(shown) == shown


def test_advice_fits_80_columns_and_commands_stay_whole() -> None:
    facts = "  measured  " + "very long " * 10 + "\n"
    command = (
        "  do        record the test: pytest --latency-mode=record " + "tests/test_a_long_name.py::test_it" + " again\n"
    )

    told = folded(
        facts + command + "  do        call Claude through a client that is recorded" + ", for example the SDK" * 3
    )

    assert told.startswith(facts + command)
    assert told.splitlines()[2:] == [
        "  do        call Claude through a client that is recorded, for example the SDK,",
        "            for example the SDK, for example the SDK",
    ]
