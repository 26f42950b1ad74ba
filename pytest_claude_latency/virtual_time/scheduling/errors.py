"""What a world raises in its program.

Both are no `Exception`: an `except Exception` of the program, or of the SDK,
which retries after errors, would hide them.
"""

from __future__ import annotations


class Deadlock(BaseException):
    """Nothing can ever wake the program. Raised in every thread that waits."""


class UnsupportedLoop(BaseException):
    """A task awaits a replayed answer on a loop that cannot follow virtual time."""
