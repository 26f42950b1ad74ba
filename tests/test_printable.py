"""Text from outside, as it may be shown."""

from __future__ import annotations

import json
import shlex
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.printable import columns_of, fitted, printable, printable_json, printable_lines


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


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param("so short", ["so short"], id="short"),
        pytest.param("  recording " + "x" * 90, ["  recording " + "x" * 90], id="a path is one word"),
        pytest.param(
            "the budget has no limits, and no class, module or option adds any to those of a test",
            ["the budget has no limits, and no class, module or option adds any to those of a", "  test"],
            id="prose",
        ),
        pytest.param(
            "  budget    ttft<800ms                   @latency_budget on tests/test_triage.py::test_label",
            ["  budget    ttft<800ms", "            @latency_budget on tests/test_triage.py::test_label"],
            id="columns",
        ),
        pytest.param(
            "            what was asked for is the second thing that this test asks of the API in vain",
            [
                "            what was asked for is the second thing that this test asks of the",
                "            API in vain",
            ],
            id="what goes on already",
        ),
        pytest.param(
            "  do        add an answer, or record the test: pytest --latency-mode=record tests/test_it.py",
            [
                "  do        add an answer, or record the test:",
                "            pytest --latency-mode=record tests/test_it.py",
            ],
            id="a command",
        ),
        pytest.param(
            "  record    pytest --latency-mode=record 'tests/test_triage.py::test_label[a b]' tests/test_it.py",
            [
                "  record    pytest --latency-mode=record \\",
                "            'tests/test_triage.py::test_label[a b]' tests/test_it.py",
            ],
            id="a long command",
        ),
        pytest.param(
            "note: " + "退款" * 12 + " " + "请求" * 12,
            ["note: " + "退款" * 12, "  " + "请求" * 12],
            id="characters of two columns",
        ),
        pytest.param(
            "    elapsed slowed from 622ms to 1.602s: ratio 2.58, 8 samples before and 8 samples now",
            ["    elapsed slowed from 622ms to 1.602s: ratio 2.58, 8 samples before and 8", "      samples now"],
            id="further in than a label",
        ),
    ],
)
def test_a_line_goes_on_below_its_value(line: str, shown: list[str]) -> None:
    assert fitted(line).split("\n") == shown


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="\\"), min_size=1),
        min_size=1,
    )
)
def test_every_line_fits_or_is_one_word_and_says_all(words: list[str]) -> None:
    lines = fitted("  do        " + " ".join(words), 60).split("\n")

    assert [word for line in lines for word in line.removesuffix(" \\").split()] == ["do", *words]
    assert all(columns_of(line) <= 60 or len(line.removeprefix("  do ").split()) == 1 for line in lines)


@given(st.lists(st.from_regex(r"[\w/.:\[\] $'\"-]+", fullmatch=True), min_size=1))
def test_a_shell_reads_a_command_as_it_was(arguments: list[str]) -> None:
    command = shlex.join(["pytest", "--lf", *arguments])

    lines = fitted(f"record it: {command}", 60).split("\n")

    typed = "\n".join(lines).removeprefix("record it: ").removeprefix("record it:\n  ")
    assert shlex.split(typed.replace("\\\n", "")) == ["pytest", "--lf", *arguments]


def test_a_command_that_was_wrapped_can_be_wrapped_again() -> None:
    whole = "  record    pytest --latency-mode=record " + " ".join("ab"[place % 2] * 30 for place in range(6))

    assert fitted(fitted(whole), 60) == fitted(whole, 60)
    assert fitted(fitted(whole, 40), 60) == fitted(whole, 60)
