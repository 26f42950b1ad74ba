"""All exceptions of the package, and how their messages read.

A message says what happened, where, what was expected and what to do. Messages
name files relative to pytest's rootdir and never hold the credentials of a request.
"""

from __future__ import annotations

import os
from pathlib import Path

from pytest_claude_latency.printable import fitted, printable_lines


class LatencyError(Exception):
    """Base of the errors this package raises for bad input."""


class NotUnderstoodError(LatencyError, ValueError):
    """What a user wrote is not understood: the problem with what is accepted, and where (`origin`, if known)."""

    def __init__(self, problem: str, origin: str = "") -> None:
        super().__init__(problem, origin)
        self.problem = problem
        self.origin = origin

    def __str__(self) -> str:
        return f"{self.origin}: {self.problem}" if self.origin else self.problem

    def labelled(self) -> str:
        """Return the message in lines with labels: first what is wrong, then where, then what is accepted."""
        problem, _, accepted = self.problem.partition("; accepted: ")
        head, *more = problem.split("\n")
        where = [f"  {'marker' if self.origin.startswith('@') else 'at':<10}{self.origin}"] if self.origin else []
        return printable_lines("\n".join([head, *where, *more, *([f"  accepted  {accepted}"] if accepted else [])]))

    def in_lines(self) -> str:
        """Return the same as a terminal shows it, with room for what pytest puts in front of a usage error."""
        return as_usage_error(self.labelled())


def as_usage_error(text: str) -> str:
    """Return the text in lines that fit, the first of which has room for what pytest puts in front of it."""
    return fitted(f"ERROR: {text}").removeprefix("ERROR: ")


class LimitError(NotUnderstoodError):
    """A limit that is not understood: unknown metric, wrong unit, negative or NaN value."""


class VariantError(NotUnderstoodError):
    """Variants that are not understood, or that do not apply to a request."""


class FaultError(NotUnderstoodError):
    """A fault that is not understood, or that fits no call of a recording."""


class FileError(LatencyError):
    """A file that cannot be used: which one, in which line (None: the file as a whole), and why."""

    what = "cannot use the file"

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return self._naming(str(self.path))

    @property
    def problem(self) -> str:
        """The line and the reason, for a message that names the file by itself."""
        return self.reason if self.line is None else f"line {self.line}: {self.reason}"

    def seen_from(self, root: Path) -> str:
        """Return the message with the file relative to `root`."""
        return self._naming(Path(os.path.relpath(self.path, root)).as_posix())

    def in_lines(self, root: Path) -> str:
        """Return the message as a terminal shows it: first what is wrong, then the file relative to `root`."""
        file = Path(os.path.relpath(self.path, root)).as_posix()
        place = file if self.line is None else f"{file}, line {self.line}"
        return as_usage_error(printable_lines(f"{self.what}: {self.reason}\n  file      {place}"))

    # a message is made late: only the reader knows from which folder the file is to be named
    def _naming(self, file: str) -> str:
        place = file if self.line is None else f"{file}, line {self.line}"
        return printable_lines(f"{self.what} {place}: {self.reason}")


class CassetteError(FileError):
    """A recording that cannot be read: which file, which line, and why."""

    what = "cannot read the recording"


class FileWriteError(FileError):
    """A file that could not be written: which one, and why. What was there before is still there."""

    what = "cannot write the file"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, None, reason)


class CassetteWriteError(FileWriteError):
    """A recording that could not be written: which file, and why. What was there before is still there."""

    what = "cannot write the recording"


class ReportError(FileError):
    """The JSON report of a run cannot be read."""

    what = "cannot read the report"


class BaselineError(FileError):
    """A baseline that cannot be used: which file, which line (None: the file as a whole), and why."""

    what = "cannot use the baseline"


class OldBaselineError(BaselineError):
    """A baseline in the form of earlier versions, a JSON array. Its message says how to save it again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, None, f"it is in the old form; save it again with --latency-save={path.stem}")

    def _naming(self, file: str) -> str:
        return f"baseline {self.path.stem} {self.reason.removeprefix('it ')}, then delete {file}"


class CredentialError(LatencyError):
    """A recording was not written because something in it looks like a credential. It says where, never what."""


class InterceptionError(LatencyError):
    """Requests of Claude clients would reach the network although a latency test is about to run."""


class BudgetExceeded(AssertionError):  # noqa: N818 - tests read "raises BudgetExceeded"
    """Calls broke a latency budget. Raised by `claude_latency.budget(...)` and for a marker that is judged."""


def is_ours(error: BaseException) -> bool:
    """Return whether an error is of a kind of this package, so that its text says all that its reader needs."""
    return type(error).__module__.startswith(f"{__package__}.")
