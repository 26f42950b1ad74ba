"""Every exception of the package, and how its message reads.

A message says what happened, where, what was expected and what to do. Messages
name files relative to pytest's rootdir and never hold a request's credentials.
"""

from __future__ import annotations

from pathlib import Path


class LatencyError(Exception):
    """Base of the errors this package raises for bad input."""


class LimitError(LatencyError, ValueError):
    """A limit that is not understood: unknown metric, bad unit, negative or NaN value."""


class CassetteError(LatencyError):
    """A recording that cannot be read: which file, which line, and why."""

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        place = f"{self.path}" if self.line is None else f"{self.path}, line {self.line}"
        return f"cannot read the recording {place}: {self.reason}"


class CassetteWriteError(LatencyError):
    """A recording that could not be written: which file, and why. What was there before is still there."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot write the recording {self.path}: {self.reason}"


class BaselineError(LatencyError):
    """A baseline that cannot be used: which file, which line (None: the file as a whole), and why."""

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        place = f"{self.path}" if self.line is None else f"{self.path}, line {self.line}"
        return f"cannot use the baseline {place}: {self.reason}"


class CredentialError(LatencyError):
    """A recording was not written because something in it looks like a credential. Says where, never what."""


class InterceptionError(LatencyError):
    """Requests of Claude clients would reach the network although a latency test is about to run."""


class BudgetExceeded(AssertionError):
    """Calls broke a latency budget. Raised by `claude_latency.budget(...)` and by a judged marker."""
