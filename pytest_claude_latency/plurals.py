"""Plurals: a number with its noun, as every message of this package writes it."""

import re


def number_of(count: int, noun: str, *, one: str = "1") -> str:
    """Return the count with its noun: `"1 call"`, `"3 calls"`, `"2 retries"`.

    `one` is how the text writes the number 1.
    """
    if count == 1:
        return f"{one} {noun}"
    return f"{count} {noun.removesuffix('y')}ies" if re.search(r"[^aeiou]y$", noun) else f"{count} {noun}s"
