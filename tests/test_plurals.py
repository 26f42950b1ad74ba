from __future__ import annotations

import pytest

from pytest_claude_latency.plurals import number_of


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "call", "0 calls"),
        (1, "call", "1 call"),
        (3, "call", "3 calls"),
        (2, "day", "2 days"),
        (1, "retry", "1 retry"),
        (2, "retry", "2 retries"),
        (2, "failed attempt", "2 failed attempts"),
    ],
)
def test_a_noun_follows_its_number(count: int, noun: str, text: str) -> None:
    assert number_of(count, noun) == text


def test_a_sentence_may_write_its_one_in_letters() -> None:
    assert number_of(1, "retry", one="one") == "one retry"
    assert number_of(2, "retry", one="one") == "2 retries"
