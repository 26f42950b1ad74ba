"""The miss: how a program is stopped that asks for what nothing may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import pytest

from pytest_claude_latency.cassettes.mismatch import Explanation
from pytest_claude_latency.printable import fitted


@dataclass(frozen=True, slots=True)
class MissText:
    """What is said of a miss, and what the run needs to tell misses of one cause together."""

    text: str
    explanation: Explanation | None = None
    """What `text` is made of; `None` where the miss stands for itself."""
    recorded_by: str = ""
    """The node id of the test that is to be recorded; empty if it is the one that meets the miss."""


@final
class Miss(pytest.fail.Exception):  # type: ignore[misc, name-defined]  # pytest declares it as a value
    """pytest's own failure, so it is no `Exception`: neither the SDK's retries nor an application's handler hide it.

    pytest's class cannot be pickled. This one can, so that a child process hands it to the test that waits for it.
    """

    def __init__(self, message: str | MissText) -> None:
        self.told = MissText(message) if isinstance(message, str) else message
        super().__init__(fitted(self.told.text), pytrace=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return _missed, (self.msg,)


def _missed(message: str) -> Miss:
    """Return a miss that is read from a pickle, which finds functions by their names and not this class by its."""
    return Miss(message)


# By this name pytest shows a failure of a test. Users know it.
Miss.__name__ = Miss.__qualname__ = "Failed"
Miss.__module__ = pytest.fail.Exception.__module__


def is_made_of_misses(error: BaseException) -> bool:
    """Return whether an error is a miss, or a group of nothing else: a task group wraps what its tasks raise."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_made_of_misses, error.exceptions))
    return isinstance(error, Miss)
