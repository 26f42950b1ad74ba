"""What the guard meets: a connection to a Claude API, or a new process, with the line of the program that made it."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Final, final

from pytest_claude_latency.virtual_time.watch import source_location

REFUSED: Final = "{library} calls a Claude API past this plugin; nothing was sent"
UNMEASURED: Final = (
    "{library} called a Claude API past this plugin: the call is neither measured nor recorded, and a replay refuses it"
)
ALL_UNMEASURED: Final = "no call of this test was measured, but it talked to a Claude API through {library}"

_OWN = __name__.partition(".")[0]
_CARRIERS = frozenset({"threading", "concurrent", "asyncio", "contextvars"})
"""Modules that only carry a call from one thread or task to another."""


@final
@dataclass(frozen=True)
class Connection:
    """Who connects to a Claude API outside every door, and whereto."""

    host: str
    port: int | None
    library: str
    """The library that the program called, for example `urllib.request`."""
    program: str
    """The line of the program: `file:line in function`."""

    @classmethod
    def opened_by(cls, frame: FrameType | None, host: str, port: int | None, library: str = "socket") -> Connection:
        """Return the connection that is opened in this frame; `library` is called where the stack tells none."""
        return cls(host, port, _library(frame, library), _program(frame))

    @property
    def destination(self) -> str:
        """The host, with its port where that is known."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def refused(self) -> str:
        """Return what is said in a replay."""
        return (
            f"{REFUSED.format(library=self.library)}\n"
            f"{self._facts()}\n"
            f"  do        call Claude through a client that is recorded and replayed, for example Anthropic's SDK, or "
            f"keep this code out of latency tests"
        )

    def unmeasured(self) -> str:
        """Return the warning of a run that lets it through."""
        return f"{UNMEASURED.format(library=self.library)}\n{self._facts()}"

    def instead_of_calls(self) -> str:
        """Return the failure of a test whose calls all went this way."""
        return (
            f"{ALL_UNMEASURED.format(library=self.library)}\n"
            f"{self._facts()}\n"
            f"  do        call Claude through a client that is recorded and replayed, for example Anthropic's SDK"
        )

    def _facts(self) -> str:
        return f"  library   {self.library}\n  program   {self.program}\n  host      {self.destination}"


@final
@dataclass(frozen=True)
class NewProcess:
    """A process that the program starts."""

    library: str
    program: str
    is_refused: bool
    """Whether its environment has no address of the API."""

    @classmethod
    def started_by(cls, frame: FrameType, *, is_refused: bool) -> NewProcess:
        """Return the process that is started in this frame."""
        return cls(_library(frame, "os"), _program(frame), is_refused)

    def note(self) -> str:
        """Return the message about it."""
        refused = "; ANTHROPIC_BASE_URL and similar variables refuse there" if self.is_refused else ""
        return (
            f"{self.library} started a process at {self.program}: what it asks Claude is neither measured nor "
            f"recorded{refused}"
        )


def _program(frame: FrameType | None) -> str:
    return source_location.of_program(frame) or f"thread {threading.current_thread().name}"


def _library(frame: FrameType | None, otherwise: str) -> str:
    """Return the outermost library between the program and the socket: a package, or a module of Python's own."""
    package, modules = "", []
    while frame is not None and not source_location.is_program(frame):
        module = str(frame.f_globals.get("__name__"))
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names:
            modules.append(module)
        elif top != _OWN:
            package = top  # from the socket outwards: the last one stays
        frame = frame.f_back
    # What only carries the call between threads and tasks stands in each stack and says nothing.
    named = [module for module in modules if module.partition(".")[0] not in _CARRIERS] or modules
    return package or (named[-1] if named else otherwise)
