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
QUICKLY_REFUSED = (r"(?s)<key>.*?</key>",)
SLOWLY_REFUSED = (r"(a+)+$", r"(\w+\s?)*x", r"\d+\d+x", r"(foo|bar)+baz", r"(.*)(.*)(.*)!")


@pytest.mark.parametrize("source", LINEAR)
def test_what_users_write_is_accepted(source: str) -> None:
    assert isinstance(linear(source), re.Pattern)


@pytest.mark.parametrize(
    "source", [*QUICKLY_REFUSED, *(pytest.param(source, marks=pytest.mark.slow) for source in SLOWLY_REFUSED)]
)
def test_what_takes_more_than_linear_time_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="takes more than linear time"):
        linear(source)


@pytest.mark.parametrize("unit", ["0f", "a@a", "a.", "a.b@", "@", "jane@mail.example "])
def test_the_pattern_of_the_documentation_is_fast_on_long_texts(unit: str) -> None:
    pattern = linear(r"[\w.+-]+@[\w.-]+\.\w+")
    began = thread_time()

    redact_text(unit * (200_000 // len(unit)), [pattern])

    assert thread_time() - began < 5  # 0.1 s; with `finditer` it takes minutes
