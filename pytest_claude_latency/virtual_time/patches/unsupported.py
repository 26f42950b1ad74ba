"""What stayed as it was, since a module lacks a name that is needed: each latency test tells it."""

from __future__ import annotations

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError

_ERRORS: list[InterceptionError] = []  # of the process, since the patches are


def lacks(module: str) -> bool:
    """Return whether a module lacks a name that is needed, and note that for each latency test."""
    # An error here would come in the midst of the program's import.
    try:
        required_names.check(module)
    except InterceptionError as error:
        _ERRORS.append(error)
        return True
    return False


def require_supported() -> None:
    """Make sure that each module that is loaded could be patched.

    Raises:
        InterceptionError: one lacks a name that is needed, and stayed as it was.
    """
    if _ERRORS:
        raise _ERRORS[0]
