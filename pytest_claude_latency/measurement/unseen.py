"""What a measurement knows of calls that it did not see: past every door, in forked children, in other processes."""

from __future__ import annotations

from collections import Counter
from typing import final

from pytest_claude_latency.http.door import Destination, let_pass
from pytest_claude_latency.http.guard.connection import Connection, NewProcess
from pytest_claude_latency.http.guard.open_connections import OpenConnections
from pytest_claude_latency.measurement.processes.children import Children, Told


@final
class Unseen:
    """What was noted so far. Each connection and process is noted once for each line of the program."""

    def __init__(self) -> None:
        self.connections: dict[Connection, None] = {}
        """Those to a Claude API that no door opened. A replay refuses them instead."""
        self.processes: dict[NewProcess, None] = {}
        """Those that the program started."""
        self.children = Children()
        self.open_connections = OpenConnections()
        self.let_pass: Counter[Destination] = Counter()
        """How many requests that are not Claude's a door let pass to each destination, in the test's own time."""
        self._let_pass_before: Counter[Destination] = Counter()
        self.child_calls = 0
        """How many requests forked children sent through a door."""
        self.child_connections: dict[str, None] = {}
        """What is said of connections that forked children opened past every door."""
        self.child_processes: dict[str, None] = {}
        """What is said of processes that forked children started."""

    def entered(self) -> None:
        """Learn that the test begins, or goes on behind a fixture that was measured by itself."""
        self._let_pass_before = let_pass()

    def left(self) -> None:
        """Learn that the test ends, or stops for a fixture."""
        now = let_pass()
        self.let_pass += now - self._let_pass_before
        self._let_pass_before = now

    def sent(self, request: str) -> None:
        """Note that a request is sent, if this process is a forked child: its own log reaches nobody."""
        if self.children.is_child:
            self.children.tell(Told.CALL, request)

    def missed(self, message: str) -> None:
        """Tell of a miss in a forked child."""
        self.children.tell(Told.MISS, message)

    def connected(self, connection: Connection) -> None:
        """Note a connection, here or in a forked child."""
        if self.children.is_child:
            self.children.tell(Told.OUTSIDE, connection.unmeasured())
        self.connections[connection] = None

    def started(self, process: NewProcess) -> None:
        """Note a process that the program starts, here or in a forked child: `os.spawn` forks before it does."""
        if self.children.is_child:
            self.children.tell(Told.PROCESS, process.note())
        self.processes[process] = None

    def misses_of_children(self) -> list[str]:
        """Take over what forked children told, and return the misses among it."""
        misses = []
        for kind, text in self.children.news():
            match kind:
                case Told.MISS:
                    misses.append(text)
                case Told.CALL:
                    self.child_calls += 1
                case Told.OUTSIDE:
                    self.child_connections[text] = None
                case Told.PROCESS:
                    self.child_processes[text] = None
        return misses
