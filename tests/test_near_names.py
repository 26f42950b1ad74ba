from __future__ import annotations

from enum import StrEnum

import pytest

from pytest_claude_latency.near_names import did_you_mean

NAMES = ("ttft", "total", "overloaded")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("totl", "; did you mean 'total'?"),
        ("TTFT", "; did you mean 'ttft'?"),
        ("overloadd", "; did you mean 'overloaded'?"),
        ("quick", ""),
        ("", ""),
    ],
)
def test_a_slip_is_told_with_the_name_that_was_meant(typed: str, hint: str) -> None:
    assert did_you_mean(typed, NAMES) == hint


def test_the_name_is_shown_as_a_user_writes_it() -> None:
    assert did_you_mean("overloadd", NAMES, form="{}()") == "; did you mean overloaded()?"


def test_a_member_of_an_enumeration_is_shown_as_it_is_typed() -> None:
    class Pace(StrEnum):
        VIRTUAL = "virtual"

    assert did_you_mean("virtul", Pace) == "; did you mean 'virtual'?"
