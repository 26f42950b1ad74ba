"""Forked children that are older than the test, or outlive it: what happens to their requests."""

from __future__ import annotations

from typing import Final, NoReturn, final

from pytest_claude_latency.http.door import Door, Serving
from pytest_claude_latency.http.guard.connection import Connection, NewProcess
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.measurement.miss import Miss
from pytest_claude_latency.measurement.processes.children import Children, Told
from pytest_claude_latency.measurement.processes.shared_page import Shown
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.virtual_time.clock import WallClock

_REFUSED: Final = (
    "a child process that is older than the test asked Claude; nothing was sent\n"
    "  request   {request}\n"
    "  do        start the process inside the test, or call Claude in the process of the test: in threads or tasks"
)
_OUTLIVED: Final = (
    "a child process called the API after its test had ended; nothing was sent\n"
    "  request   {request}\n"
    "  do        end the process, or shut its pool down, before the test returns"
)


class OlderChildRefusedError(RuntimeError):
    """What a child gets that has no doors: a worker of `multiprocessing` that meets a miss would be lost."""


@final
class OlderChild:
    """Answers the requests of a child in the place of the measurement that it does not have."""

    def __init__(self, shown: Shown, *, has_doors: bool) -> None:
        self.replays = shown.replays
        self._told = Children(shown.path)
        self._has_doors = has_doors

    def answer(self, request: Request, door: Door) -> Serving:
        """Refuse the request in a replay, and let it be sent otherwise."""
        if self.replays:
            self._refuse(_REFUSED.format(request=request.title))
        self._told.tell(Told.CALL, request.title)
        return Serving(Attempt(request, WallClock(), 0, door.decoded), request, False, None, None)

    def met_outside(self, connection: Connection) -> None:
        """Refuse the connection in a replay, and tell of it otherwise."""
        if self.replays:
            self._refuse(connection.refused())
        self._told.tell(Told.OUTSIDE, connection.unmeasured())

    def met_process(self, process: NewProcess) -> None:
        """Tell of a process that it starts."""
        self._told.tell(Told.PROCESS, process.note())

    def note_stand_in(self, request: Request) -> None:
        """Nothing was sent."""

    def _refuse(self, message: str) -> NoReturn:
        self._told.tell(Told.MISS, message)
        raise Miss(message) if self._has_doors else OlderChildRefusedError(message)


@final
class OutlivingChild:
    """Refuses the requests of a child whose replayed test has ended, while no other is measured."""

    replays: Final = True

    def answer(self, request: Request, door: Door) -> NoReturn:
        """Refuse the request."""
        self._refuse(request.title)

    def met_outside(self, connection: Connection) -> NoReturn:
        """Refuse the connection."""
        self._refuse(f"to {connection.destination}, through {connection.library}")

    def met_process(self, process: NewProcess) -> None:
        """Learn nothing: what no test measures, no report shows."""

    def note_stand_in(self, request: Request) -> None:
        """Nothing was sent, and it belongs to no test."""

    def _refuse(self, request: str) -> NoReturn:
        raise Miss(_OUTLIVED.format(request=request))
