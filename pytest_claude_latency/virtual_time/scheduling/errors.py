"""What a world raises in its program. No `except Exception` of the program, or of the SDK, may hide it."""

from __future__ import annotations


class Deadlock(BaseException):
    """Nothing can ever wake the program: raised in every thread that waits."""


class UnsupportedLoop(BaseException):
    """A task awaits a replayed answer on a loop that cannot follow virtual time."""
