"""Patterns of users take linear time, or are refused."""

from __future__ import annotations

import re
from time import thread_time

import pytest

from pytest_claude_latency.cassettes.linear_patterns import linear
from pytest_claude_latency.cassettes.redaction import redact_text

LINEAR = (
    r"[\w.+-]+@[\w.-]+\.\w+",
    r"customer-\d+",
    r"(?i)cust-[0-9a-f]{8}",
    r"\b[\w.+-]+@[\w.-]+\.\w+",
    r"\+?\d[\d -]{7,}\d",
    r"(?<!\d)\d{13,16}(?!\d)",
    r".*secret.*",
    r"Bearer\s+\S+",
    r"\w+://\S+",
    r"ord_[a-z0-9]+|inv_\d+",
    r"(?<![A-Za-z0-9])key-[0-9a-f]{32,}",  # of a chain of keys, each is found only after the one before
)
REFUSED = (
    *(r"(a+)+$", r"(\w+\s?)*x", r"(.*)(.*)(.*)!"),
    r"(a|aaa)+$",  # each character makes this slower by less than twice
    r"(a{1,50}){1,50}b",  # a repetition with a most
    r"(?:é+)+x",  # an alphabet of its own
    r"(?<=a)(b+)+c",  # it looks back
)
MORE_REFUSED = (
    *(r"(?s)<key>.*?</key>", r"\d+\d+x", r"(foo|bar)+baz"),
    *(r"(a|aa)+$", r"(a|a{9}){1,}$", r"(a|a|a)+$", r"(.*a){20}$", r"^(([a-z])+.)+[A-Z]([a-z])+$"),
    *(r"a*a*a*a*a*b", r"(\d+)*[^\d]+x", r"(?:a*)*b", r"(?i)(foo|fo+)+bar"),
    *(r"(?:\w{0,30}){10}!", r"(?:[А-Я]+)+!", r"(?:[^\x00-\x7f]+)+x"),  # noqa: RUF001 - Cyrillic is meant
    *(r"(?=(a+)+$)a", r"(?![a-z]*(\d+)+x)[a-z]"),
)


@pytest.mark.parametrize("source", LINEAR)
def test_what_users_write_is_accepted(source: str) -> None:
    assert isinstance(linear(source), re.Pattern)


@pytest.mark.parametrize(
    "source", [*REFUSED, *(pytest.param(source, marks=pytest.mark.slow) for source in MORE_REFUSED)]
)
def test_what_takes_more_than_linear_time_is_refused_soon(source: str) -> None:
    began = thread_time()

    with pytest.raises(ValueError, match="takes more than linear time"):
        linear(source)

    assert thread_time() - began < 60  # 0.1 to 2 s; what is met too late never ends


@pytest.mark.parametrize("unit", ["0f", "a@a", "a.", "a.b@", "@", "jane@mail.example "])
def test_the_pattern_of_the_documentation_is_fast_on_long_texts(unit: str) -> None:
    pattern = linear(r"[\w.+-]+@[\w.-]+\.\w+")
    began = thread_time()

    redact_text(unit * (200_000 // len(unit)), [pattern])

    assert thread_time() - began < 5  # 0.1 s; with `finditer` it takes minutes
